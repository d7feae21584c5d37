"""The bert runtime: BERT-family encoders in our own torch code, the fast path for text.

A package is read from config.json, safetensors and tokenizer.json, without transformers. Texts are
never padded to a common length, and batching never changes a prediction.
"""

from slipway_core.models.bert.bert_model import BertModel

__all__ = ["BertModel"]
