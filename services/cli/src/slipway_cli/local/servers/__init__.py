"""PostgreSQL and Valkey from wheels, started and watched by Slipway itself: what `slipway local`
and the component tests run on. A production installation brings its own servers.
"""
