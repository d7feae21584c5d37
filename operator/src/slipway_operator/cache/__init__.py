"""What the watches have reported, kept in memory so that a reconciliation costs no requests."""
