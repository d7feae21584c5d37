"""Train a tokenizer and a classifier on sentences.csv, and write tokenizer.json and model.pt.

Run `python make_package.py [--to FOLDER]`, which takes a few seconds. The seed is fixed, so that
each run produces the same model on the same kind of machine.
"""

from __future__ import annotations

import argparse
import csv
import warnings
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import nn

HERE = Path(__file__).parent
LABELS = ("negative", "positive")


class Sentiment(nn.Module):
    """A linear layer over the mean of the word vectors of a text."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, 16, padding_idx=0)
        self.output = nn.Linear(16, len(LABELS))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Map token ids and mask, both [texts, tokens], to logits, [texts, 2]."""
        mask = attention_mask.unsqueeze(-1).float()
        total = (self.words(input_ids) * mask).sum(dim=1)
        logits: torch.Tensor = self.output(total / mask.sum(dim=1).clamp(min=1.0))
        return logits


def read_sentences() -> tuple[list[str], list[int]]:
    """Return the sentences, and the index of the label of each."""
    with (HERE / "sentences.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row["sentence"] for row in rows], [LABELS.index(row["label"]) for row in rows]


def train_tokenizer(sentences: list[str]) -> Tokenizer:
    """Train a tokenizer of lower-case words; unknown words become [UNK]."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(special_tokens=["[PAD]", "[UNK]"], show_progress=False)
    tokenizer.train_from_iterator(sentences, trainer)
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")  # noqa: S106
    return tokenizer


def train(tokenizer: Tokenizer, sentences: list[str], labels: list[int]) -> Sentiment:
    """Train a classifier for 150 steps over all sentences and return it."""
    torch.manual_seed(7)
    encodings = tokenizer.encode_batch(sentences)
    ids = torch.tensor([encoding.ids for encoding in encodings])
    mask = torch.tensor([encoding.attention_mask for encoding in encodings])
    model = Sentiment(tokenizer.get_vocab_size())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03, weight_decay=1e-3)
    for _ in range(150):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(ids, mask), torch.tensor(labels))
        torch.autograd.backward(loss)
        optimizer.step()
    return model.eval()


def main() -> None:
    """Train the tokenizer and the classifier, and save them."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--to", type=Path, default=HERE, help="folder for the two files")
    folder = arguments.parse_args().to
    sentences, labels = read_sentences()
    tokenizer = train_tokenizer(sentences)
    model = train(tokenizer, sentences, labels)
    tokenizer.save(str(folder / "tokenizer.json"))
    with warnings.catch_warnings():
        # torch recommends torch.export for new models; this example is about TorchScript.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(model), folder / "model.pt")


if __name__ == "__main__":
    main()
