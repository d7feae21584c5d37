"""YAML for readers: without anchors and aliases, with keys in their given order."""

from __future__ import annotations

from typing import Any

import yaml


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(*documents: Any) -> str:
    """Return the documents as one stream of YAML."""
    return yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, width=100)
