"""Chooses the number format by the hardware and by a measurement at load.

bf16 is used when its vectors agree with those of float32 on the check texts and it is faster here.
On a GPU with bf16 it always is: a few texts do not keep one busy long enough to measure it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from slipway_core.errors import ModelLoadFailed
from slipway_core.models.bert.embedder import Embedder, Vectors
from slipway_core.models.bert.linear import one_dnn_works
from slipway_core.models.bert.slots import TokenIds

MIN_COSINE = 0.999
"""The cosine to the float32 vectors below which bf16 counts as inaccurate."""
FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16}

CHECK_TEXTS = (
    "yes",
    "Where is my order?",
    "The delivery was two days late and nobody told us.",
    "Größere Städte haben mehr Straßen; 東京 is one of the largest, at 13,960,000 people.",
    "In 1969 two people walked on the Moon while a third kept the ship in orbit; what they brought "
    "home was 21.5 kg of rock, and a new view of the small blue planet that they had left.",
    "The contract may be ended by either side with three months' notice, in writing, to the end of "
    "a quarter. Until then both sides go on doing what they have agreed to do; in particular the "
    "supplier keeps the service available, and the customer keeps paying for it. What was paid in "
    "advance for the time after the end is given back within thirty days, without interest.",
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The chosen embedder, its precision and the reason for it."""

    embedder: Embedder
    precision: str
    reason: str


def choose_precision(
    requested: str,
    device: torch.device,
    make: Callable[[torch.dtype], Embedder],
    check_tokens: Sequence[TokenIds],
) -> Choice:
    """Return the embedder to serve with.

    `make` builds one in a number format; `check_tokens` are used to compare two. Raises
    ModelLoadFailed for a precision that this runtime or this machine does not support.
    """
    if requested not in ("auto", *FORMATS):
        raise ModelLoadFailed(
            f"the runtime bert has no precision {requested}; set precision to auto, fp32 or bf16"
        )
    obstacle = _obstacle_to_bf16(device)
    if requested == "fp32":
        return Choice(make(torch.float32), "fp32", "fp32 was asked for")
    if requested == "bf16":
        if obstacle:
            raise ModelLoadFailed(f"{obstacle}; set precision to auto or fp32")
        return Choice(make(torch.bfloat16), "bf16", "bf16 was asked for")
    if obstacle:
        return Choice(make(torch.float32), "fp32", obstacle)
    return _measure(make, check_tokens, on_cpu=device.type == "cpu")


def _obstacle_to_bf16(device: torch.device) -> str:
    """Return why bf16 is not available; empty when it is."""
    if device.type == "cuda":
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
        return "" if supported else "the GPU has no bf16"
    if not (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return "the CPU has neither AMX nor AVX512-BF16, so bf16 would be slow"
    if not one_dnn_works(torch.bfloat16):
        return "this build of torch has no oneDNN operations for bf16"
    return ""


def _measure(
    make: Callable[[torch.dtype], Embedder], check_tokens: Sequence[TokenIds], *, on_cpu: bool
) -> Choice:
    exact, short = make(torch.float32), make(torch.bfloat16)
    exact_vectors, exact_seconds = _timed(exact, check_tokens)
    short_vectors, short_seconds = _timed(short, check_tokens)
    cosine = lowest_cosine(short_vectors, exact_vectors)
    speed = exact_seconds / short_seconds
    facts = f"the lowest cosine to fp32 is {cosine:.5f}"
    if on_cpu:
        facts += f" and its speed {speed:.1f} times fp32's"
    if not cosine >= MIN_COSINE:
        return Choice(exact, "fp32", f"bf16 was too far off on the check texts: {facts}")
    if on_cpu and speed <= 1:
        return Choice(exact, "fp32", f"bf16 was no faster on the check texts: {facts}")
    return Choice(short, "bf16", f"bf16 passed on the check texts: {facts}")


def _timed(embedder: Embedder, tokens: Sequence[TokenIds]) -> tuple[Vectors, float]:
    """Return the vectors, [texts, width], and the CPU seconds of the faster of two more runs.

    The first run compiles kernels. CPU seconds are used because replicas that start together on a
    busy machine would otherwise choose differently.
    """
    vectors = embedder(tokens)
    seconds = []
    for _ in range(2):
        started = time.process_time()
        embedder(tokens)
        seconds.append(time.process_time() - started)
    return vectors, min(seconds)


def lowest_cosine(vectors: Vectors, others: Vectors) -> float:
    """Return the lowest cosine between rows of equal index of two arrays [texts, width].

    It is NaN when any number is NaN.
    """
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(others, axis=1)
    return float(((vectors * others).sum(axis=1) / lengths).min())
