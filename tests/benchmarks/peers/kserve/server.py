"""A custom KServe model: sentence-transformers. KServe's batcher would be another container."""

from __future__ import annotations

import os
from typing import Any

from kserve import Model, ModelServer
from sentence_transformers import SentenceTransformer


class MiniLM(Model):
    def __init__(self) -> None:
        super().__init__("minilm")
        self._encoder = SentenceTransformer(os.environ["MODEL_FOLDER"], device="cpu")
        self.ready = True

    def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> Any:
        return {"predictions": self._encoder.encode(payload["instances"]).tolist()}


if __name__ == "__main__":
    ModelServer().start([MiniLM()])
