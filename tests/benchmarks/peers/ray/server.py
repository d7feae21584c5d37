"""A Ray Serve deployment: sentence-transformers, with Ray's batching. Its argument is the port."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

import ray
from ray import serve
from sentence_transformers import SentenceTransformer
from starlette.requests import Request


# With the default of 5 concurrent requests, batches would never be full.
@serve.deployment(max_ongoing_requests=512)
class MiniLM:
    def __init__(self) -> None:
        self._encoder = SentenceTransformer(os.environ["MODEL_FOLDER"], device="cpu")

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.005)
    async def embed(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._encoder.encode(texts, batch_size=32).tolist()
        return vectors

    async def __call__(self, request: Request) -> dict[str, Any]:
        texts = (await request.json())["texts"]
        return {"embeddings": await asyncio.gather(*map(self.embed, texts))}


if __name__ == "__main__":
    # By default Ray limits an actor to one OpenMP thread per reserved CPU.
    threads = str(os.cpu_count())
    ray.init(include_dashboard=False, runtime_env={"env_vars": {"OMP_NUM_THREADS": threads}})
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(MiniLM.bind(), blocking=True)
