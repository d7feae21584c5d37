"""Trains the model on iris.csv and writes model.pt2: `python make_package.py [--to FOLDER]`.

The seed is fixed, so that each run gives the same model on the same kind of machine. It takes a few
seconds.
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
    """Two layers over the four lengths; the scaling of the training data is part of the model."""

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))

    def forward(self, measurements: torch.Tensor) -> torch.Tensor:
        """[rows, 4] centimetres to [rows, 3] logits, one for each species."""
        logits: torch.Tensor = self.layers((measurements - self.mean) / self.deviation)
        return logits


def read_rows() -> tuple[torch.Tensor, torch.Tensor]:
    """The 150 flowers: lengths as [150, 4], and the number of the species as [150]."""
    with (HERE / "iris.csv").open(newline="", encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    lengths = [[float(row[column]) for column in COLUMNS] for row in rows]
    return torch.tensor(lengths), torch.tensor([SPECIES.index(row["species"]) for row in rows])


def train() -> Iris:
    """The model after 200 steps over all rows."""
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
    """Train, export with a batch of any size, save."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--to", type=Path, default=HERE, help="folder for model.pt2")
    folder = arguments.parse_args().to
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(train(), (torch.zeros(2, 4),), dynamic_shapes=({0: batch},))
    torch.export.save(program, folder / "model.pt2")


if __name__ == "__main__":
    main()
