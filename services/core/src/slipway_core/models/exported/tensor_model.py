"""What torch-export and torchscript models have in common: arrays in, predictions out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from slipway_core.errors import ModelInvalid
from slipway_core.inputs.items import Item, Outcome
from slipway_core.models.device import choose_device
from slipway_core.models.exported.preprocessing import (
    PreparedInput,
    Preprocessor,
    RejectedInput,
    RowPreprocessor,
)
from slipway_core.models.exported.tensor_outputs import PredictionReader
from slipway_core.models.model import Model, ModelInfo

PRECISIONS = {
    torch.float32: "fp32",
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
    torch.float64: "fp64",
}


@dataclass(frozen=True)
class LoadedModule:
    """A module, called with one tensor [rows, ...] for each input.

    `min_rows` and `max_rows` limit its batches; None stands for no limit.
    """

    call: Callable[..., Any]
    precision: str
    min_rows: int = 1
    max_rows: int | None = None


class TensorModel(Model):
    """Runs a module over batches.

    Inputs of different shapes are run separately. A batch is split when it is too large for the
    module, and filled up when it is too small.
    """

    def load(self) -> None:
        """Load the module. Raises ModelInvalid for a precision other than the exported one."""
        self._device = choose_device(self.options.device)
        self._preprocessor = self._make_preprocessor()
        self._reader = PredictionReader(self.manifest)
        self._module = self.load_module(self._device)
        precision = self.options.precision
        if precision not in ("auto", self._module.precision):
            raise ModelInvalid(
                f"the model computes in {self._module.precision}, as it was exported, "
                f"and not in {precision}: set SLIPWAY_PRECISION to auto, or export it in "
                f"{precision}"
            )

    def load_module(self, device: torch.device) -> LoadedModule:
        """Read the weights onto the device. Each runtime implements it."""
        raise NotImplementedError

    def describe(self) -> ModelInfo:
        """Return the device, the exported precision and the limit of the input."""
        return ModelInfo(
            manifest=self.manifest,
            device=self._device.type,
            precision=self._module.precision,
            precision_reason="as it was exported",
            threads=torch.get_num_threads(),
            max_input_tokens=self._preprocessor.max_tokens,
            load_seconds=0.0,
        )

    def run(self, items: Sequence[Item]) -> list[Outcome]:
        """Return one Outcome for each item, in order. Rejected inputs fail alone."""
        prepared = self._preprocessor.prepare(items)
        outcomes: list[Outcome] = [
            Outcome(failure=one.failure) if isinstance(one, RejectedInput) else Outcome()
            for one in prepared
        ]
        accepted = {i: one for i, one in enumerate(prepared) if isinstance(one, PreparedInput)}
        for indices in self._batches(accepted):
            results = self._run_batch([accepted[index] for index in indices])
            for index, outcome in zip(indices, results, strict=True):
                outcomes[index] = outcome
        return outcomes

    def _make_preprocessor(self) -> Preprocessor:
        modality = self.manifest.served_modalities()[0]
        if modality == "text":
            from slipway_core.models.exported.text_tokens import TextPreprocessor

            return TextPreprocessor(self.folder, self.manifest)
        if modality == "image":
            from slipway_core.models.exported.images import ImagePreprocessor

            return ImagePreprocessor(self.manifest.inputs[0], self.options.image_limits)
        return RowPreprocessor(self.manifest.inputs)

    def _batches(self, accepted: dict[int, PreparedInput]) -> Iterator[list[int]]:
        """Yield the indices of inputs of equal shapes, at most `max_rows` at a time."""
        by_shape: dict[tuple[tuple[int, ...], ...], list[int]] = {}
        for index, one in accepted.items():
            by_shape.setdefault(tuple(array.shape for array in one.arrays), []).append(index)
        for indices in by_shape.values():
            size = self._module.max_rows or len(indices)
            yield from (indices[start : start + size] for start in range(0, len(indices), size))

    def _run_batch(self, batch: list[PreparedInput]) -> list[Outcome]:
        rows = max(len(batch), self._module.min_rows)
        filled = batch + [batch[-1]] * (rows - len(batch))
        columns = zip(*(one.arrays for one in filled), strict=True)
        tensors = [torch.from_numpy(np.stack(column)).to(self._device) for column in columns]
        with torch.inference_mode():
            outputs = self._module.call(*tensors)
            return self._reader.read(outputs, rows, [one.tokens for one in batch])


def batch_bounds(shape: Sequence[int]) -> tuple[int, int | None]:
    """Return the minimum and maximum rows of a batch for an input of the declared shape."""
    return (1, None) if not shape or shape[0] == -1 else (shape[0], shape[0])


def precision_of(tensors: Sequence[torch.Tensor]) -> str:
    """Return the number format of the first floating-point weight; fp32 without any."""
    for tensor in tensors:
        if tensor.is_floating_point():
            return PRECISIONS.get(tensor.dtype, str(tensor.dtype).removeprefix("torch."))
    return "fp32"
