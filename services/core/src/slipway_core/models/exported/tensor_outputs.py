"""What an exported model returned, as one Outcome for each input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from slipway_core.inputs.items import ItemFailure, Outcome
from slipway_core.models.exported.torch_types import TORCH_TYPES
from slipway_core.package.manifest import Manifest, TensorSpec, shape_fits

SCORES = "scores"


class OutputReader:
    """Reads the outputs that the manifest declares.

    The prediction of a tensor model is {output name: value}. Where an output has labels, `label`,
    `score` and `scores` tell the best one; they stand beside the outputs when one output has
    labels, and within {output name: {...}} when several have.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._classifies = manifest.task == "text-classification"
        self._specs = [
            self._with_labels(spec, manifest) for spec in manifest.outputs or [_logits(manifest)]
        ]
        self._labelled = [spec for spec in self._specs if spec.labels]

    def _with_labels(self, spec: TensorSpec, manifest: Manifest) -> TensorSpec:
        """The labels of the manifest are those of a text classifier's only output."""
        if not self._classifies or spec.labels:
            return spec
        return TensorSpec(
            name=spec.name,
            datatype=spec.datatype,
            shape=spec.shape,
            labels=manifest.labels,
            activation=spec.activation,
        )

    def read(self, raw: Any, rows: int, tokens: Sequence[int]) -> list[Outcome]:
        """Outcomes of the first `len(tokens)` of `rows` rows. Raises RuntimeError for outputs of
        another shape.
        """
        outputs = [
            self._values(spec, tensor, rows)[: len(tokens)]
            for spec, tensor in zip(self._specs, self._tensors(raw), strict=True)
        ]
        wrong = [_not_finite(values) for values in outputs]
        plain = [values.tolist() for values in outputs]
        outcomes = []
        for row, cost in enumerate(tokens):
            bad = [spec.name for spec, rows_ in zip(self._specs, wrong, strict=True) if rows_[row]]
            if bad:
                reason = f"the model's output {bad[0]} is not finite for this input"
                outcomes.append(Outcome(failure=ItemFailure("PredictionFailed", reason)))
            else:
                prediction = self._prediction([values[row] for values in plain])
                outcomes.append(Outcome(prediction=prediction, tokens=cost))
        return outcomes

    def _tensors(self, raw: Any) -> list[Any]:
        """The outputs in the manifest's order."""
        if isinstance(raw, Mapping):
            missing = [spec.name for spec in self._specs if spec.name not in raw]
            if missing:
                raise RuntimeError(f"the model gave no output {missing[0]}, but {', '.join(raw)}")
            return [raw[spec.name] for spec in self._specs]
        found = list(raw) if isinstance(raw, tuple | list) else [raw]
        if len(found) != len(self._specs):
            raise RuntimeError(
                f"the model gave {len(found)} outputs, but `outputs` of slipway.yaml has "
                f"{len(self._specs)}"
            )
        return found

    def _values(self, spec: TensorSpec, tensor: Any, rows: int) -> torch.Tensor:
        """The output on the CPU, checked, activated and cast as declared."""
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
        return _activated(spec, tensor).to("cpu", TORCH_TYPES[spec.datatype])

    def _prediction(self, values: list[Any]) -> dict[str, Any]:
        named = dict(zip([spec.name for spec in self._specs], values, strict=True))
        if len(self._labelled) > 1:
            return named | {
                spec.name: _best(spec.labels, named[spec.name]) for spec in self._labelled
            }
        if not self._labelled:
            return named
        (spec,) = self._labelled
        best = _best(spec.labels, named[spec.name])
        return best if self._classifies else named | best


def _logits(manifest: Manifest) -> TensorSpec:
    """The output of a text classifier that declares none."""
    return TensorSpec(name="logits", labels=manifest.labels, activation="softmax")


def _best(labels: Sequence[str], scores: Sequence[float]) -> dict[str, Any]:
    score, label = max(zip(scores, labels, strict=True), key=lambda pair: pair[0])
    return {"label": label, "score": score, SCORES: dict(zip(labels, scores, strict=True))}


def _activated(spec: TensorSpec, tensor: torch.Tensor) -> torch.Tensor:
    if spec.activation == "softmax":
        return torch.softmax(tensor.float(), dim=-1)
    if spec.activation == "sigmoid":
        return torch.sigmoid(tensor.float())
    return tensor


def _not_finite(values: torch.Tensor) -> list[bool]:
    """For each row, whether it holds NaN or infinity."""
    if not values.is_floating_point():
        return [False] * len(values)
    return (~torch.isfinite(values)).reshape(len(values), -1).any(dim=1).tolist()
