"""YAML as people write it: what is shared is written out, keys keep their order."""

from __future__ import annotations

from typing import Any

import yaml


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def plain_yaml(*documents: Any) -> str:
    """The documents, one after the other."""
    return yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, width=100)
