"""Makes what a model returned safe to send: plain values that MessagePack, JSON and PostgreSQL can
carry, of bounded size and depth.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import msgspec

from slipway_core.engines.frames import MAX_FRAME_BYTES
from slipway_core.engines.messages import plain_value
from slipway_core.errors import PredictionFailed
from slipway_core.errors.foreign_errors import describe_error, writable
from slipway_core.inputs.items import ItemFailure, Outcome

MAX_MESSAGE_CHARACTERS = 500
MAX_PREDICTION_DEPTH = 64
"""Levels of lists and objects. The server writes predictions by functions that call themselves."""
MAX_BATCH_BYTES = MAX_FRAME_BYTES // 3
"""The predictions of a batch as JSON. As MessagePack they may take 2.25 times as much (`0.0,`)."""
MAX_TOKENS = 2**31 - 1
"""What a column of PostgreSQL holds."""

_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

_json = msgspec.json.Encoder(enc_hook=plain_value)
_msgpack = msgspec.msgpack.Encoder()


def plain_outcomes(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes, each unchanged, with plain values or replaced by its own failure."""
    return [_plain(outcome, MAX_BATCH_BYTES // len(outcomes)) for outcome in outcomes]


def failed_prediction(message: str) -> Outcome:
    """Return the Outcome of an input for which the model gave nothing that can be used."""
    text = writable(message[:MAX_MESSAGE_CHARACTERS])
    return Outcome(failure=ItemFailure(PredictionFailed.__name__, text))


def _plain(outcome: Outcome, max_bytes: int) -> Outcome:
    try:
        if type(outcome) is not Outcome:
            raise TypeError(f"the model returned no Outcome but {type(outcome).__name__}")
        if failure := outcome.failure:
            message = writable(failure.message[:MAX_MESSAGE_CHARACTERS])
            return Outcome(failure=ItemFailure(writable(failure.code[:64]), message))
        if not 0 <= outcome.tokens <= MAX_TOKENS:
            raise ValueError("its number of tokens is wrong")
        if len(outcome.embedding) > max_bytes or type(outcome.embedding) is not bytes:
            raise ValueError("its embedding is no vector, or too long")
        return _with_plain_prediction(outcome, max_bytes) if outcome.prediction else outcome
    # Values may raise anything when they are read, such as a tensor of another library.
    except BaseException as error:
        reason = describe_error(error)
        return failed_prediction(f"the model's prediction cannot be written as JSON: {reason}")


def _with_plain_prediction(outcome: Outcome, max_bytes: int) -> Outcome:
    # JSON has no NaN and no infinity: msgspec writes them as null, both for the caller and for
    # PostgreSQL.
    encoded = _json.encode(outcome.prediction)
    if len(encoded) > max_bytes:
        raise ValueError(
            f"it has {len(encoded)} bytes, but at most {max_bytes} in a batch of this size"
        )
    if encoded.count(b"[") + encoded.count(b"{") > MAX_PREDICTION_DEPTH:
        _check_depth(encoded)
    plain: dict[str, Any] = msgspec.json.decode(encoded, type=dict[str, Any])
    _msgpack.encode(plain)  # raises OverflowError for integers of more than 64 bits
    return msgspec.structs.replace(outcome, prediction=plain)


def _check_depth(encoded: bytes) -> None:
    brackets = _TEXTS.sub(b"", encoded).translate(None, delete=_NO_BRACKETS)
    if (
        max(accumulate(1 if bracket in b"[{" else -1 for bracket in brackets))
        > MAX_PREDICTION_DEPTH
    ):
        raise ValueError(f"it has more than {MAX_PREDICTION_DEPTH} levels of lists and objects")
