"""Puts requests together into batches."""
