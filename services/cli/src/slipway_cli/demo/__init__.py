"""What `slipway demo` checks: responses, metrics and stored rows."""
