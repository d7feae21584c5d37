"""What torch-export and torchscript models have in common: arrays in, outputs out, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from slipway_core.errors import ModelInvalid
from slipway_core.inputs.items import Item, ItemFailure, Outcome
from slipway_core.models.device import choose_device
from slipway_core.models.exported.preprocessing import Encoded, Encoder, Refused, RowEncoder
from slipway_core.models.exported.tensor_outputs import OutputReader
from slipway_core.models.model import Model, ModelInfo

PRECISIONS = {
    torch.float32: "fp32",
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
    torch.float64: "fp64",
}


@dataclass(frozen=True)
class LoadedModule:
    """A module ready to be called with one tensor for each input; `least` and `most` bound its
    batches.
    """

    call: Callable[..., Any]
    precision: str
    least: int = 1
    most: int | None = None


class TensorModel(Model):
    """Runs a module over batches. Inputs of different shapes are run apart; a batch may be cut and
    filled up.
    """

    def load(self) -> None:
        self._device = choose_device(self.options.device)
        self._encoder = self._make_encoder()
        self._reader = OutputReader(self.manifest)
        self._module = self.load_module(self._device)
        asked = self.options.precision
        if asked not in ("auto", self._module.precision):
            raise ModelInvalid(
                f"the model computes in {self._module.precision}, as it was exported, "
                f"and not in {asked}: set SLIPWAY_PRECISION to auto, or export it in {asked}"
            )

    def load_module(self, device: torch.device) -> LoadedModule:
        """Read the weights onto the device. Each runtime has its own."""
        raise NotImplementedError

    def describe(self) -> ModelInfo:
        return ModelInfo(
            manifest=self.manifest,
            device=self._device.type,
            precision=self._module.precision,
            precision_reason="as it was exported",
            threads=torch.get_num_threads(),
            max_input_tokens=getattr(self._encoder, "longest", 0),
            load_seconds=0.0,
        )

    def run(self, items: Sequence[Item]) -> list[Outcome]:
        encoded = self._encoder.encode(items)
        outcomes: list[Outcome] = [
            Outcome(failure=ItemFailure("InvalidInput", one.reason))
            if isinstance(one, Refused)
            else Outcome()
            for one in encoded
        ]
        accepted = {i: one for i, one in enumerate(encoded) if isinstance(one, Encoded)}
        for indices in self._batches(accepted):
            results = self._run_batch([accepted[index] for index in indices])
            for index, outcome in zip(indices, results, strict=True):
                outcomes[index] = outcome
        return outcomes

    def _make_encoder(self) -> Encoder:
        modality = self.manifest.served_modalities()[0]
        if modality == "text":
            from slipway_core.models.exported.text_tokens import TextEncoder

            return TextEncoder(self.folder, self.manifest)
        if modality == "image":
            from slipway_core.models.exported.images import ImageEncoder

            return ImageEncoder(self.manifest.inputs[0])
        return RowEncoder(self.manifest.inputs)

    def _batches(self, accepted: dict[int, Encoded]) -> Iterator[list[int]]:
        """Indices of inputs that can be stacked, in batches of at most what the module takes."""
        alike: dict[tuple[tuple[int, ...], ...], list[int]] = {}
        for index, one in accepted.items():
            alike.setdefault(tuple(array.shape for array in one.arrays), []).append(index)
        for indices in alike.values():
            most = self._module.most or len(indices)
            yield from (indices[start : start + most] for start in range(0, len(indices), most))

    def _run_batch(self, batch: list[Encoded]) -> list[Outcome]:
        rows = max(len(batch), self._module.least)
        filled = batch + [batch[-1]] * (rows - len(batch))
        columns = zip(*(one.arrays for one in filled), strict=True)
        tensors = [torch.from_numpy(np.stack(column)).to(self._device) for column in columns]
        with torch.inference_mode():
            raw = self._module.call(*tensors)
            return self._reader.read(raw, rows, [one.tokens for one in batch])


def batch_bounds(shape: Sequence[int]) -> tuple[int, int | None]:
    """The least and most rows of a batch, from the first size of an input's declared shape."""
    return (1, None) if not shape or shape[0] == -1 else (shape[0], shape[0])


def precision_of(tensors: Sequence[torch.Tensor]) -> str:
    """The number format of the first floating-point weight; fp32 for a model without any."""
    for tensor in tensors:
        if tensor.is_floating_point():
            return PRECISIONS.get(tensor.dtype, str(tensor.dtype).removeprefix("torch."))
    return "fp32"
