"""What takes long for one large request, kept off the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

LARGE_BYTES = 128 * 1024
"""Size beyond which a body is decoded, and a response encoded, off the event loop. What is smaller
takes some milliseconds at worst, less than handing it over would take at a high rate.
"""


class LargeWork:
    """Runs functions one at a time on one thread, so that large requests wait for each other, and
    small ones for none of them: the event loop gets its turns between the steps of a function. No
    step may be long, which is a call that holds the interpreter.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="large-work")

    async def run(self, size: int, function: Callable[[], T]) -> T:
        """Return the result of a function for `size` bytes. It runs at once when that is small.

        When the caller is cancelled, a function that has begun goes on, and its result is dropped.
        """
        if size <= LARGE_BYTES:
            return function()
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)
