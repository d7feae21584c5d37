"""Images: the largest legal ones do not hold up others, and larger ones are rejected."""

from __future__ import annotations

import asyncio
import io
import time
from collections import Counter

import httpx2
import psutil
import pytest
import torch
from PIL import Image
from tests.fixtures.exported_models import PackageMaker, tensors
from tests.fixtures.services import ServiceProcess, StartInference

pytestmark = pytest.mark.component

LARGE_IMAGES = 40
MAX_HONEST_SECONDS = 10.0
"""Many times what one of the large images takes, and far less than all of them."""
MAX_GROWTH_BYTES = 600 * 1024 * 1024


class MeanColour(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))


@pytest.fixture
def server(script_package: PackageMaker, start_inference: StartInference) -> ServiceProcess:
    """Start a server with a model of images."""
    manifest = tensors([-1, 3, 64, 64], image={})
    manifest["outputs"] = [{"name": "y", "shape": [-1, 3]}]
    return start_inference(script_package(MeanColour(), manifest))


def encode(size: tuple[int, int], kind: str, **options: bool) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", size).save(content, kind, **options)
    return content.getvalue()


def memory(process: psutil.Process) -> int:
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


async def post(client: httpx2.AsyncClient, content: bytes) -> tuple[int, float]:
    """Return the status, and the seconds that it took."""
    started = time.monotonic()
    response = await client.post("/predict/image", files={"file": ("image", content)})
    return response.status_code, time.monotonic() - started


@pytest.mark.timeout(180)
async def test_clients_are_served_while_the_largest_images_are_sent(server: ServiceProcess) -> None:
    large, small = encode((5_000, 5_000), "WEBP", lossless=True), encode((64, 64), "JPEG")
    honest: list[tuple[int, float]] = []
    process = psutil.Process(server.pid)

    async with httpx2.AsyncClient(base_url=server.url, timeout=120) as client:
        assert (await post(client, small))[0] == 200
        before = peak = memory(process)
        flood = asyncio.gather(*(post(client, large) for _ in range(LARGE_IMAGES)))
        while not flood.done():
            honest.append(await post(client, small))
            peak = max(peak, memory(process))
        statuses = Counter(status for status, _ in await flood)

    assert set(statuses) <= {200, 429}
    assert statuses[200] > 0
    assert {status for status, _ in honest} == {200}
    assert max(seconds for _, seconds in honest) < MAX_HONEST_SECONDS
    assert peak - before < MAX_GROWTH_BYTES


async def test_an_image_over_a_limit_is_rejected_before_it_is_decoded(
    server: ServiceProcess,
) -> None:
    async with httpx2.AsyncClient(base_url=server.url, timeout=60) as client:
        for size, setting in (
            ((16_383, 2_400), "SLIPWAY_MAX_IMAGE_PIXELS"),
            ((16_384, 16_384), "SLIPWAY_MAX_IMAGE_PIXELS"),
            ((1, 40_000), "SLIPWAY_MAX_IMAGE_SIDE"),
        ):
            content = encode(size, "PNG")
            response = await client.post("/predict/image", files={"file": ("image", content)})
            assert response.status_code == 422
            assert response.json()["errors"][0]["field"] == "file"
            assert setting in response.json()["detail"]
