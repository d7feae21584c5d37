"""English-like texts of lognormal length: about 28 tokens in the mean, 23 in the middle, 69 at the
95th percentile, 256 at most. The same seed gives the same texts everywhere.
"""

from __future__ import annotations

import math
import random
import re

MEDIAN_TOKENS = 23
SIGMA = 0.67
MOST_TOKENS = 256
FRAME_TOKENS = 2  # what the tokenizer puts around a text

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
    """`count` texts."""
    rng = random.Random(seed)
    return [_text(rng, _length(rng)) for _ in range(count)]


def _length(rng: random.Random) -> int:
    tokens = round(rng.lognormvariate(math.log(MEDIAN_TOKENS), SIGMA))
    return min(max(tokens, FRAME_TOKENS + 1), MOST_TOKENS)


def _text(rng: random.Random, tokens: int) -> str:
    return " ".join(rng.choices(WORDS, k=tokens - FRAME_TOKENS))
