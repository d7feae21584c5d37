"""`python -m slipway_operator` runs the operator."""

from slipway_operator.main import main

main()
