"""Generate English-like texts of lognormal length.

The mean is about 28 tokens, the median 23, the 95th percentile 69, and the maximum 256. The same
seed gives the same texts on every machine.
"""

from __future__ import annotations

import math
import random
import re

MEDIAN_TOKENS = 23
SIGMA = 0.67
MAX_TOKENS = 256
SPECIAL_TOKENS = 2  # added to each text by the tokenizer

# One token each in BERT's English vocabulary.
WORDS = re.findall(
    r"[a-z]+",
    "the of and to in a is that for it as was with be by on not he his but at are this have from "
    "which had they you were their one all we can her has there been if more when will would who "
    "so no out up into them then she some two other these than first time new only its over any "
    "now after most made may such through back years where much your way well down should because "
    "each just those people how too little state good very make world still own see men work long "
    "get here between both life being under never day same another know while last might us great "
    "old year off come since against go came right used take three water house river letter price "
    "market garden engine winter music doctor paper window bridge station summer harbor village",
)


def lognormal_texts(count: int, seed: int = 1) -> list[str]:
    """Return `count` texts."""
    rng = random.Random(seed)
    return [_text(rng, _length(rng)) for _ in range(count)]


def _length(rng: random.Random) -> int:
    tokens = round(rng.lognormvariate(math.log(MEDIAN_TOKENS), SIGMA))
    return min(max(tokens, SPECIAL_TOKENS + 1), MAX_TOKENS)


def _text(rng: random.Random, tokens: int) -> str:
    return " ".join(rng.choices(WORDS, k=tokens - SPECIAL_TOKENS))
