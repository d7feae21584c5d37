"""Chooses the number format: by what the hardware has, and by a measurement at load.

bf16 is taken when, on the check texts, its vectors are those of float32 and it is faster here. On a
GPU that has bf16 it always is; a few texts do not keep one busy long enough to measure it.
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

LOWEST_COSINE = 0.999
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
    """What a model computes with, and why, in one sentence."""

    embedder: Embedder
    precision: str
    reason: str


def choose_precision(
    wanted: str,
    device: torch.device,
    make: Callable[[torch.dtype], Embedder],
    check_tokens: Sequence[TokenIds],
) -> Choice:
    """The embedder to serve with: `make` builds one in a format, `check_tokens` try it.

    Raises ModelLoadFailed for a precision that this runtime or this machine does not have.
    """
    if wanted not in ("auto", *FORMATS):
        raise ModelLoadFailed(
            f"the runtime bert has no precision {wanted}; set precision to auto, fp32 or bf16"
        )
    obstacle = _obstacle_to_bf16(device)
    if wanted == "fp32":
        return Choice(make(torch.float32), "fp32", "fp32 was asked for")
    if wanted == "bf16":
        if obstacle:
            raise ModelLoadFailed(f"{obstacle}; set precision to auto or fp32")
        return Choice(make(torch.bfloat16), "bf16", "bf16 was asked for")
    if obstacle:
        return Choice(make(torch.float32), "fp32", obstacle)
    return _measure(make, check_tokens, on_cpu=device.type == "cpu")


def _obstacle_to_bf16(device: torch.device) -> str:
    """Why bf16 cannot be had; empty when it can."""
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
    if not cosine >= LOWEST_COSINE:
        return Choice(exact, "fp32", f"bf16 was too far off on the check texts: {facts}")
    if on_cpu and speed <= 1:
        return Choice(exact, "fp32", f"bf16 was no faster on the check texts: {facts}")
    return Choice(short, "bf16", f"bf16 passed on the check texts: {facts}")


def _timed(embedder: Embedder, tokens: Sequence[TokenIds]) -> tuple[Vectors, float]:
    """Vectors, and the CPU seconds of the better of two runs after one that compiles kernels.

    Seconds of the CPU, not of the clock: replicas that start together on a busy machine would
    otherwise choose differently.
    """
    vectors = embedder(tokens)
    seconds = []
    for _ in range(2):
        started = time.process_time()
        embedder(tokens)
        seconds.append(time.process_time() - started)
    return vectors, min(seconds)


def lowest_cosine(vectors: Vectors, others: Vectors) -> float:
    """The smallest cosine between rows of equal index; NaN when any number is NaN."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(others, axis=1)
    return float(((vectors * others).sum(axis=1) / lengths).min())
