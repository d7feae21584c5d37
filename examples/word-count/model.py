"""A model without weights: it counts the words of a text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from slipway_core.runtime import Model

WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
DEFAULT_TOP = 3
MAX_TOP = 50


class WordCount(Model):
    """Predicts {"words", "different", "most_common"}; `top` limits the number of the latter."""

    def preprocess(self, value: str, parameters: dict[str, Any]) -> tuple[str, int]:
        """Check the parameters of one input. A ValueError rejects the input with that message."""
        top = parameters.get("top", DEFAULT_TOP)
        if not isinstance(top, int) or isinstance(top, bool) or not 0 <= top <= MAX_TOP:
            raise ValueError(f"`parameters.top` must be a whole number from 0 to {MAX_TOP}")
        return value.lower(), top

    def predict(self, batch: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
        """Return one output for each text of the batch."""
        return [self._count(text, top) for text, top in batch]

    def _count(self, text: str, top: int) -> dict[str, Any]:
        counts = Counter(WORD.findall(text))
        return {
            "words": counts.total(),
            "different": len(counts),
            "most_common": [{"word": word, "count": n} for word, n in counts.most_common(top)],
        }
