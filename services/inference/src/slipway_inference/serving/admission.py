"""Room that all requests share: memory for bodies, a thread for large ones, slots for streams."""

from __future__ import annotations

from slipway_inference.http.body_memory import BodyMemory
from slipway_inference.http.large_work import LargeWork
from slipway_inference.serving.stream_slots import StreamSlots
from slipway_inference.settings import InferenceSettings


class Admission:
    """Rejects what exceeds the limits of the process."""

    def __init__(self, settings: InferenceSettings) -> None:
        self.body_memory = BodyMemory(settings.max_buffered_bytes)
        self.large_work = LargeWork()
        self.streams = StreamSlots(settings)
