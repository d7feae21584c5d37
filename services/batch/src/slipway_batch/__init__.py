"""The batch worker, which computes the chunks of batch jobs."""
