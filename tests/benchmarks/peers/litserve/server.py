"""A LitServe API: sentence-transformers, with LitServe's batching. Its argument is the port."""

from __future__ import annotations

import os
import sys
from typing import Any

import litserve
from sentence_transformers import SentenceTransformer


class MiniLM(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self._encoder = SentenceTransformer(os.environ["MODEL_FOLDER"], device="cpu")

    def decode_request(self, request: dict[str, str]) -> str:
        return request["text"]

    def batch(self, inputs: list[str]) -> list[str]:
        return list(inputs)

    def predict(self, texts: list[str]) -> Any:
        return self._encoder.encode(texts, batch_size=32)

    def unbatch(self, output: Any) -> list[Any]:
        return list(output)

    def encode_response(self, output: Any) -> dict[str, Any]:
        return {"embedding": output.tolist()}


if __name__ == "__main__":
    api = MiniLM(max_batch_size=32, batch_timeout=0.005)
    server = litserve.LitServer(api, accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
