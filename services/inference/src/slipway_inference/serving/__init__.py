"""What one server process holds: the model, the stores, room for requests, and its life."""
