"""The `bert` runtime: embeddings, zero-shot classification, and classifiers with their own head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn

from slipway_core.errors import ModelInvalid
from slipway_core.inputs.items import Item, ItemFailure, Outcome
from slipway_core.models.bert.classifier import ClassifierHead
from slipway_core.models.bert.config import (
    EncoderConfig,
    OutputConfig,
    read_encoder_config,
    read_labels,
    read_output_config,
)
from slipway_core.models.bert.embedder import Embedder, Vectors
from slipway_core.models.bert.encoder import Encoder
from slipway_core.models.bert.pooling import PoolingHead
from slipway_core.models.bert.precision import CHECK_TEXTS, choose_precision
from slipway_core.models.bert.tokenizing import TextTokenizer
from slipway_core.models.bert.weights import (
    ClassifierWeights,
    WeightsFile,
    read_classifier_weights,
    read_encoder_weights,
)
from slipway_core.models.bert.zero_shot import LabelVectorCache, classify_by_cosine
from slipway_core.models.classification import classification
from slipway_core.models.device import choose_device
from slipway_core.models.model import Model, ModelInfo

NO_LABELS = "`labels` must be given: this model classifies by the labels of the request"
FIXED_LABELS = "`labels` are fixed by this model: leave them out of the request"
NOT_UNICODE = "the text or a label holds half of a surrogate pair: send valid Unicode"


class BertModel(Model):
    """An encoder of the BERT family with absolute positions, of any size."""

    def load(self) -> None:
        """Read the package and choose the precision.

        Raises ModelInvalid for a package that is not such a model, and ModelLoadFailed for options
        that this machine does not support.
        """
        files = self.manifest.files
        config = read_encoder_config(self.folder / files.config)
        output = read_output_config(self.folder, self.manifest, config)
        self._output = output
        self._device = choose_device(self.options.device)
        self._lanes = self.options.threads if self._device.type == "cpu" else 1
        self._tokenizer = TextTokenizer(
            self.folder / files.tokenizer,
            output,
            config.vocab_size,
            threads=1 if self._lanes > 1 else self.options.threads,
        )
        file = WeightsFile(self.folder / self.manifest.weights_file())
        head = None
        if self.manifest.task == "text-classification":
            head = read_classifier_weights(file, config)
        self._classes = read_labels(self.manifest, config, len(head.classes.bias)) if head else []
        self._label_cache = LabelVectorCache()
        self._embedding_size = config.hidden_size if self.manifest.task == "text-embedding" else 0
        weights = read_encoder_weights(file, config)

        def make(dtype: torch.dtype) -> Embedder:
            encoder = Encoder(weights, config, dtype, self._device)
            width = len(self._classes) or config.hidden_size
            return Embedder(
                encoder,
                _make_head(config, output, head, self._device),
                width=width,
                pad_id=config.pad_token_id or 0,
            )

        self._choice = choose_precision(
            self.options.precision, self._device, make, self._tokenizer.encode(CHECK_TEXTS)
        )

    def describe(self) -> ModelInfo:
        """Return the chosen device and precision, and the limit of the input."""
        return ModelInfo(
            manifest=self.manifest,
            device=self._device.type,
            precision=self._choice.precision,
            precision_reason=self._choice.reason,
            threads=self.options.threads,
            max_input_tokens=self._output.max_input_tokens,
            load_seconds=0.0,
            lanes=self._lanes,
            embedding_size=self._embedding_size,
        )

    def use_cores(self, count: int) -> None:
        """Set the number of threads that torch uses for the calling thread."""
        # The first query or operation of a thread resets its number to the one last set in the
        # process, so query it first. A lane with two threads would make libgomp, which then has
        # more threads than cores, stop spinning: a forward pass took twice as long.
        torch.get_num_threads()
        torch.set_num_threads(count)

    def run(self, items: Sequence[Item]) -> list[Outcome]:
        """Return embeddings, or classifications {label, score, scores}, in order.

        A text that is not valid fails alone.
        """
        labels = [self._labels_of(item) for item in items]
        outcomes: list[Outcome | None] = [
            _rejection(reason) if (reason := self._find_problem(item, own_labels)) else None
            for item, own_labels in zip(items, labels, strict=True)
        ]
        accepted = [index for index, outcome in enumerate(outcomes) if outcome is None]
        all_labels = dict.fromkeys(label for index in accepted for label in labels[index])
        label_vectors = self._label_cache.get(all_labels)
        new = [label for label in all_labels if label not in label_vectors]
        tokens = self._tokenizer.encode([*(items[index].value for index in accepted), *new])
        vectors = self._choice.embedder(tokens)
        label_vectors |= self._label_cache.put(new, vectors[len(accepted) :])
        for row, index in enumerate(accepted):
            outcomes[index] = self._to_outcome(
                vectors[row], labels[index], label_vectors, len(tokens[row])
            )
        return [outcome for outcome in outcomes if outcome is not None]

    def _labels_of(self, item: Item) -> tuple[str, ...]:
        """Return the labels for zero-shot classification; none for embeddings or a trained head."""
        if item.labels or self._classes or self.manifest.task != "text-classification":
            return item.labels
        return tuple(self.manifest.labels)

    def _find_problem(self, item: Item, labels: tuple[str, ...]) -> str:
        """Return why an item cannot be computed; empty when it can."""
        if not isinstance(item.value, str):
            return "the input must be a text"
        if self._classes and labels:
            return FIXED_LABELS
        if not labels and not self._classes and self.manifest.task == "text-classification":
            return NO_LABELS
        try:
            for text in (item.value, *labels):
                text.encode("utf-8")
        except UnicodeEncodeError:
            return NOT_UNICODE
        return ""

    def _to_outcome(
        self,
        vector: Vectors,
        labels: tuple[str, ...],
        label_vectors: Mapping[str, Vectors],
        tokens: int,
    ) -> Outcome:
        if self._classes:
            return Outcome(prediction=classification(self._classes, vector.tolist()), tokens=tokens)
        if labels:
            matrix = np.stack([label_vectors[label] for label in labels])
            prediction = classify_by_cosine(vector, labels, matrix)
            return Outcome(prediction=prediction, tokens=tokens)
        return Outcome(embedding=vector.astype("<f4", copy=False).tobytes(), tokens=tokens)


def _rejection(reason: str) -> Outcome:
    return Outcome(failure=ItemFailure("InvalidInput", reason))


def _make_head(
    config: EncoderConfig,
    output: OutputConfig,
    classifier: ClassifierWeights | None,
    device: torch.device,
) -> nn.Module:
    if classifier is None:
        return PoolingHead(mean=output.pooling == "mean", normalize=output.normalize)
    if config.problem_type == "regression":
        raise ModelInvalid("config.json: `problem_type` must be a classification, not regression")
    multi_label = config.problem_type == "multi_label_classification"
    return ClassifierHead(classifier, multi_label=multi_label, device=device)
