"""A custom MLServer runtime with Slipway's model, which shows the effect of the server alone."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from slipway_core.inputs.items import Item
from slipway_core.models.bert import BertModel
from slipway_core.models.model import LoadOptions
from slipway_core.package.manifest import Manifest


class MiniLM(MLModel):
    async def load(self) -> bool:
        self._model = BertModel()
        self._model.folder = Path(os.environ["MODEL_FOLDER"])
        self._model.manifest = Manifest(name="minilm", task="text-embedding", runtime="bert")
        self._model.options = LoadOptions(threads=torch.get_num_threads())
        self._model.load()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        texts = StringCodec.decode_input(payload.inputs[0])
        outcomes = self._model.run([Item("text", text) for text in texts])
        vectors = np.stack([outcome.vector() for outcome in outcomes])
        output = NumpyCodec.encode_output("embedding", vectors)
        return InferenceResponse(model_name=self.name, outputs=[output])
