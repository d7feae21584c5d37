"""Slots of streams are counted by kind and by caller."""

from __future__ import annotations

from typing import Any

import pytest

from slipway_core.errors import TooManyStreams
from slipway_inference.http.body_memory import BodyMemory
from slipway_inference.http.caller import caller_of
from slipway_inference.http.context import open_context
from slipway_inference.serving.stream_slots import Stream, StreamSlots
from slipway_inference.settings import InferenceSettings


def request_from(address: str, forwarded: str = "") -> dict[str, Any]:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    scope: dict[str, Any] = {"client": (address, 1), "method": "GET", "headers": headers}
    open_context(scope, "", BodyMemory(0))
    return scope


async def test_a_full_kind_keeps_no_other_kind_out() -> None:
    slots = StreamSlots(InferenceSettings(max_streams=1))
    with slots.hold(Stream.PROGRESS, request_from("10.0.0.1")):
        with pytest.raises(TooManyStreams, match="1 progress streams are open"):
            slots.hold(Stream.PROGRESS, request_from("10.0.0.2")).__enter__()
        with slots.hold(Stream.UPLOAD, request_from("10.0.0.1")):
            pass
    with slots.hold(Stream.PROGRESS, request_from("10.0.0.2")):
        pass


async def test_a_caller_leaves_slots_for_others() -> None:
    slots = StreamSlots(InferenceSettings(max_streams=2, max_streams_per_caller=1))
    with slots.hold(Stream.UPLOAD, request_from("2001:db8::1")):
        with pytest.raises(TooManyStreams, match="your address has 1 open uploads"):
            slots.hold(Stream.UPLOAD, request_from("2001:db8::2")).__enter__()
        with slots.hold(Stream.UPLOAD, request_from("2001:db8:0:1::1")):
            pass


@pytest.mark.parametrize(
    ("address", "forwarded", "caller"),
    [
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.1.2.3", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("::ffff:10.1.2.3", "2001:db8::1", "2001:db8::/64"),
        ("10.1.2.3", "nonsense", "10.1.2.3"),
        ("10.1.2.3", "", "10.1.2.3"),
    ],
)
def test_only_trusted_proxies_name_the_client(address: str, forwarded: str, caller: str) -> None:
    trusted = InferenceSettings(trusted_proxies="10.0.0.0/8, fd00::/8").trusted_networks
    assert caller_of(request_from(address, forwarded), trusted) == caller


def test_without_trusted_proxies_the_connection_names_the_client() -> None:
    assert caller_of(request_from("10.1.2.3", "198.51.100.7"), ()) == "10.1.2.3"
