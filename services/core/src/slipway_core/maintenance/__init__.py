"""Periodic maintenance of the store and the queue, run by every service."""
