"""A custom MLServer runtime: sentence-transformers, texts in, vectors out."""

from __future__ import annotations

import os

from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse
from sentence_transformers import SentenceTransformer


class MiniLM(MLModel):
    async def load(self) -> bool:
        self._encoder = SentenceTransformer(os.environ["MODEL_FOLDER"], device="cpu")
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        texts = StringCodec.decode_input(payload.inputs[0])
        vectors = self._encoder.encode(texts, batch_size=32)
        output = NumpyCodec.encode_output("embedding", vectors)
        return InferenceResponse(model_name=self.name, outputs=[output])
