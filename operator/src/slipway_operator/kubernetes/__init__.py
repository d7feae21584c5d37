"""The API server: its client, and the kinds and objects that the client reads and writes."""
