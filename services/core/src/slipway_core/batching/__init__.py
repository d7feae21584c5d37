"""Groups requests into batches for the engines."""
