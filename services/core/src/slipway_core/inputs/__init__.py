"""What callers send: checked, counted in tokens, and turned into the items of a batch."""
