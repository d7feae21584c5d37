"""The queue that wakes batch workers, in Redis or Valkey. No other package imports arq or redis."""
