"""The committed API document is up to date, and the API page needs no internet access."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import httpx2

from slipway_core import errors

ROOT = Path(__file__).parents[3]


def test_the_committed_document_is_up_to_date() -> None:
    written = subprocess.run(
        [sys.executable, "-m", "slipway_inference", "--openapi"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert (ROOT / "docs" / "openapi.json").read_text() == written, (
        "run: python -m slipway_inference --openapi > docs/openapi.json"
    )


def test_every_reference_has_a_schema() -> None:
    text = (ROOT / "docs" / "openapi.json").read_text()
    schemas = json.loads(text)["components"]["schemas"]
    used = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert used <= set(schemas)


def test_every_error_code_in_the_document_is_explained() -> None:
    document = (ROOT / "docs" / "openapi.json").read_text()
    explained = (ROOT / "docs" / "api.md").read_text()
    codes = set(re.findall(r'"urn:slipway:error:(\w+)"', document))
    assert codes
    for code in codes:
        kind = getattr(errors, code)
        assert re.search(rf"\| {kind.http_status} \| `{code}` \|", explained), code


async def test_the_page_loads_nothing_from_other_hosts(text_app: httpx2.AsyncClient) -> None:
    page = await text_app.get("/models/mini/docs")
    assert page.status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert loaded
    for address in loaded:
        assert "//" not in address
        asset = await text_app.get("/models/mini/" + address)
        assert asset.status_code == 200
        assert len(asset.content) > 1000
    assert (await text_app.get("/models/mini/openapi.json")).json()["info"]["title"] == "Slipway"
    assert (await text_app.get("/docs/../pyproject.toml")).status_code == 404
