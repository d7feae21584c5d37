"""A BentoML service: sentence-transformers, with BentoML's adaptive batching."""

from __future__ import annotations

import os

import bentoml
import numpy as np
from sentence_transformers import SentenceTransformer


@bentoml.service(traffic={"timeout": 60})
class Embedder:
    def __init__(self) -> None:
        self._encoder = SentenceTransformer(os.environ["MODEL_FOLDER"], device="cpu")

    @bentoml.api(batchable=True, max_batch_size=32)
    def embed(self, texts: list[str]) -> np.ndarray:
        return self._encoder.encode(texts, batch_size=32)
