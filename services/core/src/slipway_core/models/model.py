"""What passes between a server and its engine processes, and the class that a model implements.

Everything here is importable without torch. Messages are msgspec structs, encoded as MessagePack:
never pickle.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from slipway_core.inputs.items import Item, ItemFailure, Outcome
from slipway_core.package.manifest import Manifest


class LoadOptions(msgspec.Struct, frozen=True):
    """How an engine is to load a package."""

    device: str = "auto"
    precision: str = "auto"
    threads: int = 1
    allow_pickle: bool = False


class ModelInfo(msgspec.Struct, frozen=True):
    """What an engine says of the model that it loaded."""

    manifest: Manifest
    device: str
    precision: str
    precision_reason: str
    threads: int
    max_input_tokens: int
    load_seconds: float
    lanes: int = 1
    """How many batches an engine computes side by side, each on a core of its own."""
    embedding_size: int = 0
    """Numbers of the vector that it gives of each input; 0 for a model that predicts otherwise."""

    @property
    def precision_cause(self) -> str:
        """Why it has that precision, without what was measured: one of a few fixed phrases, which
        stand before the first colon of `precision_reason`.
        """
        return self.precision_reason.partition(":")[0][:100]


class Model:
    """A model that Slipway can serve. Subclass it for `runtime: python`; the other runtimes do the
    same.

    A minimal model overrides `load` and `predict`. An instance lives in one engine process and is
    called from one thread, one batch at a time, so it needs no locks (unless it describes itself as
    having several lanes). `self.folder`, `self.manifest` and `self.options` are set before `load`.
    """

    folder: Path
    manifest: Manifest
    options: LoadOptions

    def load(self) -> None:
        """Read weights from `self.folder`. Anything raised stops the service with its message."""

    def preprocess(self, value: Any, parameters: dict[str, Any]) -> Any:
        """Turn one input into what `predict` takes. Raise ValueError to refuse the input with that
        message.
        """
        return value

    def predict(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Compute all inputs at once: one output for each, in order."""
        raise NotImplementedError

    def postprocess(self, output: Any) -> dict[str, Any]:
        """Turn one output into the JSON object that the caller gets as `prediction`."""
        return output if isinstance(output, dict) else {"output": output}

    # What the built-in runtimes override in addition.

    def describe(self) -> ModelInfo:
        """Facts for logs, metadata and metrics; called once, after `load`."""
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
        """Compute on so many cores in the calling thread; called only for a model with lanes: with
        1 by each lane's thread, then with all by the main thread.
        """

    def run(self, items: Sequence[Item]) -> list[Outcome]:
        """One Outcome for each Item, in order. Refused inputs become failures; errors of `predict`
        are raised.
        """
        prepared: list[Any] = []
        failures: dict[int, Outcome] = {}
        for index, item in enumerate(items):
            try:
                prepared.append(self.preprocess(item.value, item.parameters))
            except ValueError as error:
                failures[index] = Outcome(failure=ItemFailure("InvalidInput", str(error)))
        outputs = list(self.predict(prepared)) if prepared else []
        if len(outputs) != len(prepared):
            raise RuntimeError(f"predict gave {len(outputs)} outputs for {len(prepared)} inputs")
        in_order = iter(outputs)
        return [
            failures[index]
            if index in failures
            else Outcome(prediction=self.postprocess(next(in_order)))
            for index in range(len(items))
        ]
