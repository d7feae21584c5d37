"""Health, probes, metrics and the API page."""
