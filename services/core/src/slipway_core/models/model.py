"""The class that a model implements, its options and its description.

Importable without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from slipway_core.inputs.dropped_items import DROPPED, is_dropped
from slipway_core.inputs.image_header import ImageLimits
from slipway_core.inputs.items import Item, ItemFailure, Outcome
from slipway_core.package.manifest import Manifest


class LoadOptions(msgspec.Struct, frozen=True):
    """Options for loading a package."""

    device: str = "auto"
    precision: str = "auto"
    threads: int = 1
    allow_pickle: bool = False
    image_limits: ImageLimits = ImageLimits()


class Sandbox(msgspec.Struct, frozen=True):
    """How the engines that run a model are confined.

    Without `active` nothing is. `landlock_abi` is the version of the kernel's interface: 4 bounds
    TCP, 6 signals. `has_filter`: other calls of the kernel are filtered. `network`: models have it.
    """

    active: bool = False
    landlock_abi: int = 0
    has_filter: bool = False
    network: bool = True


class ModelInfo(msgspec.Struct, frozen=True):
    """The description of a loaded model."""

    manifest: Manifest
    device: str
    precision: str
    precision_reason: str
    threads: int
    max_input_tokens: int
    load_seconds: float
    lanes: int = 1
    """The number of batches that an engine computes side by side, each on a core of its own."""
    embedding_size: int = 0
    """The width of the embedding of each input; 0 for a model that makes none."""
    sandbox: Sandbox = Sandbox()
    """Set by the server: a model cannot claim it."""

    @property
    def precision_cause(self) -> str:
        """The reason without the measurements that follow its first colon: one of a few phrases."""
        return self.precision_reason.partition(":")[0][:100]


class Model:
    """A model that Slipway can serve. Subclass it for `runtime: python`, as other runtimes do.

    A minimal model overrides `load` and `predict`. An instance lives in one engine process and is
    called from one thread, one batch at a time. It needs no locks, unless its description has
    several lanes. `self.folder`, `self.manifest` and `self.options` are set before `load`.
    """

    folder: Path
    manifest: Manifest
    options: LoadOptions

    def load(self) -> None:
        """Read weights from `self.folder`. Any exception stops the service with its message."""

    def preprocess(self, value: Any, parameters: dict[str, Any]) -> Any:
        """Convert one input to an element of the batch for `predict`.

        Raise ValueError to reject the input with that message.
        """
        return value

    def predict(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Compute a batch: return one output for each input, in order."""
        raise NotImplementedError

    def postprocess(self, output: Any) -> dict[str, Any]:
        """Convert one output to the JSON object that the caller gets as `prediction`."""
        return output if isinstance(output, dict) else {"output": output}

    # The built-in runtimes override these too.

    def describe(self) -> ModelInfo:
        """Return a description for logs, metadata and metrics. Called once, after `load`."""
        return ModelInfo(
            manifest=self.manifest,
            device="cpu",
            precision="fp32",
            precision_reason="set by the model",
            threads=self.options.threads,
            max_input_tokens=0,
            load_seconds=0.0,
        )

    def use_cores(self, count: int) -> None:
        """Let the calling thread compute on `count` cores.

        Called only for a model with lanes: by the thread of each lane with 1, then by the main
        thread with all cores.
        """

    def run(self, items: Sequence[Item]) -> list[Outcome]:
        """Return one Outcome for each Item, in order.

        Inputs that `preprocess` rejects become failures, and so do those that nobody waits for any
        more. Errors of `predict` are raised.
        """
        prepared: list[Any] = []
        failures: dict[int, Outcome] = {}
        for index, item in enumerate(items):
            if is_dropped(item):
                failures[index] = Outcome(failure=DROPPED)
                continue
            try:
                prepared.append(self.preprocess(item.plain_value(), item.parameters))
            except ValueError as error:
                failures[index] = Outcome(failure=ItemFailure("InvalidInput", str(error)))
        outputs = list(self.predict(prepared)) if prepared else []
        if len(outputs) != len(prepared):
            raise RuntimeError(f"predict gave {len(outputs)} outputs for {len(prepared)} inputs")
        remaining = iter(outputs)
        return [
            failures[index]
            if index in failures
            else Outcome(prediction=self.postprocess(next(remaining)))
            for index in range(len(items))
        ]
