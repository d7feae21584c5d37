"""The code that Slipway's services share: packages, models, engines, store and queue.

It knows neither HTTP routes nor worker loops. The inference server, the batch worker and the
command line import it, never the other way round.
"""

__version__ = "0.1.0"
