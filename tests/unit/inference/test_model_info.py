"""The information that the server reports on its model."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.fixtures.inference_app import TEXT_MODEL, InstantEngines, open_app

from slipway_core.models.model import ModelInfo, Sandbox

MEASURED = "bf16 was no faster on the check texts: its speed is 0.9 times fp32's"


async def test_the_precision_has_a_reason_whose_figures_are_not_in_labels() -> None:
    engines: Any = InstantEngines(TEXT_MODEL)
    engines.info = msgspec.structs.replace(engines.info, precision_reason=MEASURED)
    async with open_app(engines=engines) as (client, _):
        health = (await client.get("/health")).json()
        metrics = (await client.get("/metrics")).text
    assert (health["device"], health["precision"]) == ("cpu", "fp32")
    assert health["precision_reason"] == MEASURED
    labels = 'precision="fp32",reason="bf16 was no faster on the check texts"'
    assert f"slipway_model_precision_info{{{labels}}} 1.0" in metrics


@pytest.mark.parametrize("reason", ["fp32 was asked for", MEASURED, "x" * 5000, ""])
def test_a_reason_is_short_and_without_measurements(reason: str) -> None:
    cause = ModelInfo(TEXT_MODEL, "cpu", "fp32", reason, 1, 256, 0.1).precision_cause
    assert reason.startswith(cause)
    assert len(cause) <= 100
    assert not any(letter.isdigit() for letter in cause.replace("fp32", "").replace("bf16", ""))


async def test_health_says_how_the_model_is_confined() -> None:
    engines: Any = InstantEngines(TEXT_MODEL)
    confined = Sandbox(active=True, landlock_abi=7, has_filter=True, network=False)
    engines.info = msgspec.structs.replace(engines.info, sandbox=confined)
    async with open_app(engines=engines) as (client, _):
        health = (await client.get("/health")).json()
    assert health["sandbox"] == {
        "active": True,
        "landlock_abi": 7,
        "has_filter": True,
        "network": False,
    }
