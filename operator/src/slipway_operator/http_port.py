"""The operator's HTTP port: metrics for Prometheus, probes for the kubelet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from slipway_operator.control.controller import Controller


@asynccontextmanager
async def serve_http(controller: Controller, port: int) -> AsyncIterator[int]:
    """Serve /metrics, /healthz and /readyz until the end of the block, and yield the port."""

    async def metrics(_: web.Request) -> web.Response:
        controller.update_gauges()
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def health(_: web.Request) -> web.Response:
        healthy = controller.is_healthy
        return web.Response(text="ok" if healthy else "stopped", status=200 if healthy else 503)

    application = web.Application()
    application.add_routes(
        [web.get("/metrics", metrics), web.get("/healthz", health), web.get("/readyz", health)]
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, port=port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
