"""Converts what an exported model returns to one Outcome for each input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import torch

from slipway_core.inputs.items import ItemFailure, Outcome
from slipway_core.models.classification import classification
from slipway_core.models.exported.torch_types import TORCH_TYPES
from slipway_core.package.manifest import Manifest, TensorSpec, shape_fits


class PredictionReader:
    """Reads the outputs that the manifest declares, each a tensor [rows, ...].

    The prediction of a tensor model is {output name: value}. An output with labels adds `label`,
    `score` and `scores`: beside the outputs when only one output has labels, and within
    {output name: {...}} when several have. The prediction of a text classifier is these three.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._is_classifier = manifest.task == "text-classification"
        self._specs = [
            self._with_labels(spec, manifest) for spec in manifest.outputs or [_logits(manifest)]
        ]
        self._labelled = [spec for spec in self._specs if spec.labels]

    def _with_labels(self, spec: TensorSpec, manifest: Manifest) -> TensorSpec:
        """Give the only output of a text classifier the labels of the manifest."""
        if not self._is_classifier or spec.labels:
            return spec
        return msgspec.structs.replace(spec, labels=manifest.labels)

    def read(self, outputs: Any, rows: int, tokens: Sequence[int]) -> list[Outcome]:
        """Return the Outcomes of the first `len(tokens)` of `rows` rows.

        `outputs` is what the module returned: a tensor, a sequence or a mapping of tensors;
        `tokens` holds the cost of each input. Raises RuntimeError for outputs of another shape.
        """
        tensors = [
            self._checked(spec, tensor, rows)[: len(tokens)]
            for spec, tensor in zip(self._specs, self._in_order(outputs), strict=True)
        ]
        not_finite = [_rows_not_finite(tensor) for tensor in tensors]
        values = [tensor.tolist() for tensor in tensors]
        outcomes = []
        for row, cost in enumerate(tokens):
            bad = [
                spec.name for spec, rows_ in zip(self._specs, not_finite, strict=True) if rows_[row]
            ]
            if bad:
                reason = f"the model's output {bad[0]} is not finite for this input"
                outcomes.append(Outcome(failure=ItemFailure("PredictionFailed", reason)))
            else:
                prediction = self._prediction([output[row] for output in values])
                outcomes.append(Outcome(prediction=prediction, tokens=cost))
        return outcomes

    def _in_order(self, outputs: Any) -> list[Any]:
        """Return the outputs in the order of the manifest."""
        if isinstance(outputs, Mapping):
            missing = [spec.name for spec in self._specs if spec.name not in outputs]
            if missing:
                raise RuntimeError(
                    f"the model gave no output {missing[0]}, but {', '.join(outputs)}"
                )
            return [outputs[spec.name] for spec in self._specs]
        sequence = list(outputs) if isinstance(outputs, tuple | list) else [outputs]
        if len(sequence) != len(self._specs):
            raise RuntimeError(
                f"the model gave {len(sequence)} outputs, but `outputs` of slipway.yaml has "
                f"{len(self._specs)}"
            )
        return sequence

    def _checked(self, spec: TensorSpec, tensor: Any, rows: int) -> torch.Tensor:
        """Check an output; return it on the CPU, activated and cast as declared."""
        if not isinstance(tensor, torch.Tensor):
            raise RuntimeError(
                f"the model's output {spec.name} is no tensor: {type(tensor).__name__}"
            )
        shape = list(tensor.shape)
        if not shape or shape[0] != rows:
            raise RuntimeError(
                f"the model's output {spec.name} has shape {shape} for {rows} inputs: "
                "it must have one row for each input"
            )
        if spec.shape and not shape_fits(shape[1:], spec.shape[1:]):
            raise RuntimeError(
                f"the model's output {spec.name} has shape {shape}, "
                f"but `outputs` of slipway.yaml says {spec.shape}"
            )
        if spec.labels and shape[1:] != [len(spec.labels)]:
            raise RuntimeError(
                f"the model's output {spec.name} has shape {shape}, but there are "
                f"{len(spec.labels)} labels"
            )
        return _activate(spec, tensor).to("cpu", TORCH_TYPES[spec.datatype])

    def _prediction(self, values: list[Any]) -> dict[str, Any]:
        named = dict(zip([spec.name for spec in self._specs], values, strict=True))
        if len(self._labelled) > 1:
            return named | {
                spec.name: classification(spec.labels, named[spec.name]) for spec in self._labelled
            }
        if not self._labelled:
            return named
        (spec,) = self._labelled
        classified = classification(spec.labels, named[spec.name])
        return classified if self._is_classifier else named | classified


def _logits(manifest: Manifest) -> TensorSpec:
    """Return the output of a text classifier that declares none."""
    return TensorSpec(name="logits", labels=manifest.labels, activation="softmax")


def _activate(spec: TensorSpec, tensor: torch.Tensor) -> torch.Tensor:
    if spec.activation == "softmax":
        return torch.softmax(tensor.float(), dim=-1)
    if spec.activation == "sigmoid":
        return torch.sigmoid(tensor.float())
    return tensor


def _rows_not_finite(tensor: torch.Tensor) -> list[bool]:
    """Return for each row of a tensor [rows, ...] whether it holds NaN or infinity."""
    if not tensor.is_floating_point():
        return [False] * len(tensor)
    return (~torch.isfinite(tensor)).reshape(len(tensor), -1).any(dim=1).tolist()
