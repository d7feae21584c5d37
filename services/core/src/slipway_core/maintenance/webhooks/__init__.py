"""Webhooks: which addresses they may call, and how they are called."""
