"""Logging, metrics, and the redaction of secrets."""
