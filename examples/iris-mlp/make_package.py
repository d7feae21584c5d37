"""Train the model on iris.csv and write model.pt2.

Run `python make_package.py [--to FOLDER]`, which takes a few seconds. The seed is fixed, so that
each run produces the same model on the same kind of machine.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent
COLUMNS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
SPECIES = ("setosa", "versicolor", "virginica")


class Iris(nn.Module):
    """Two layers over the four lengths, which the model standardises itself."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))

    def forward(self, measurements: torch.Tensor) -> torch.Tensor:
        """Map lengths in centimetres, [rows, 4], to logits, [rows, 3], one per species."""
        logits: torch.Tensor = self.layers((measurements - self.mean) / self.deviation)
        return logits


def read_rows() -> tuple[torch.Tensor, torch.Tensor]:
    """Return the lengths of the flowers, [150, 4], and the index of their species, [150]."""
    with (HERE / "iris.csv").open(newline="", encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    lengths = [[float(row[column]) for column in COLUMNS] for row in rows]
    return torch.tensor(lengths), torch.tensor([SPECIES.index(row["species"]) for row in rows])


def train() -> Iris:
    """Train a model for 200 steps over all rows and return it."""
    torch.manual_seed(7)
    lengths, species = read_rows()
    model = Iris(lengths.mean(dim=0), lengths.std(dim=0))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(200):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(lengths), species)
        torch.autograd.backward(loss)
        optimizer.step()
    return model.eval()


def main() -> None:
    """Train the model, export it with a dynamic batch size, and save it."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--to", type=Path, default=HERE, help="folder for model.pt2")
    folder = arguments.parse_args().to
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(train(), (torch.zeros(2, 4),), dynamic_shapes=({0: batch},))
    torch.export.save(program, folder / "model.pt2")


if __name__ == "__main__":
    main()
