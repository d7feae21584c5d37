"""Runs small batches at load, so that a broken model fails the start, not the first request."""

from __future__ import annotations

import io
from typing import Any

from slipway_core.errors import InvalidInput, ModelInvalid, ModelLoadFailed
from slipway_core.inputs.items import Item
from slipway_core.inputs.parsing import parse_input
from slipway_core.models.failure_location import describe_failure
from slipway_core.models.model import Model
from slipway_core.package.manifest import MANIFEST_NAME, Manifest, TensorSpec

SAMPLE_TEXT = "Slipway checks this model before it serves."


def check_model(model: Model) -> None:
    """Run a batch of one and a batch of two. Raises ModelLoadFailed when the model fails.

    The input is the manifest's `sample`, which must get a prediction. Without one it is generated
    (zeros, a grey image, a sentence), and the model may reject it. A python model is checked with a
    `sample` only.
    """
    has_sample = model.manifest.sample is not None
    if not has_sample and model.manifest.runtime == "python":
        return
    item = sample_item(model.manifest)
    for size in (1, 2):
        try:
            outcomes = model.run([item] * size)
        except BaseException as error:
            reason = describe_failure(error, model.folder)
            raise ModelLoadFailed(_failed(model.manifest, size, reason)) from error
        if len(outcomes) != size:
            reason = f"it gave {len(outcomes)} outputs"
            raise ModelLoadFailed(_failed(model.manifest, size, reason))
        for outcome in outcomes:
            if has_sample and outcome.failure is not None:
                raise ModelLoadFailed(_failed(model.manifest, size, outcome.failure.message))


def sample_item(manifest: Manifest) -> Item:
    """Return the input for the check. Raises ModelInvalid when `sample` is not a valid input."""
    modality = manifest.served_modalities()[0]
    labels = ("one", "two") if manifest.runtime == "bert" and _needs_labels(manifest) else ()
    raw = manifest.sample
    if raw is None:
        raw = _generate_input(manifest, modality)
    try:
        return parse_input(manifest, modality, raw, field="sample", labels=labels)
    except InvalidInput as error:
        raise ModelInvalid(f"{MANIFEST_NAME}: {error.message}") from None


def _needs_labels(manifest: Manifest) -> bool:
    return manifest.task == "text-classification" and not manifest.labels


def _failed(manifest: Manifest, size: int, reason: str) -> str:
    kind = "the sample" if manifest.sample is not None else "a generated input"
    return (
        f"the model {manifest.name} was loaded, but fails on a batch of {size} of {kind}: {reason}"
    )


def _generate_input(manifest: Manifest, modality: str) -> Any:
    if modality == "text":
        return SAMPLE_TEXT
    if modality == "image":
        return _grey_image(manifest.inputs[0])
    if len(manifest.inputs) == 1:
        return _zeros(manifest.inputs[0].shape[1:])
    return {spec.name: _zeros(spec.shape[1:]) for spec in manifest.inputs}


def _zeros(sizes: list[int]) -> Any:
    if not sizes:
        return 0
    return [_zeros(sizes[1:]) for _ in range(max(1, sizes[0]))]


def _grey_image(spec: TensorSpec) -> bytes:
    from PIL import Image

    content = io.BytesIO()
    _, _, height, width = spec.shape
    Image.new("RGB", (width, height), (128, 128, 128)).save(content, format="PNG")
    return content.getvalue()
