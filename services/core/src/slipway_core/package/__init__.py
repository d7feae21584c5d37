"""Model packages: finding them by URI, verifying them, and caching downloads."""
