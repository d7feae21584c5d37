"""What Slipway's services share: model runtime, store, queue, errors, settings and logging.

Nothing here knows HTTP routes or worker loops: inference, batch and the command line import from
this distribution, never the other way round.
"""

__version__ = "0.1.0"
