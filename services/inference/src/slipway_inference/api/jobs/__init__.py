"""Batch jobs: submit, follow, cancel."""
