"""The kubeconfig with which the doctor reads a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway_cli.cluster.reader import ClusterReader, ClusterUnreadable


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", "apiVersion: v1\nkind: Config\npreferences: {}\n", "clusters: 3\n"],
)
def test_a_damaged_kubeconfig_is_explained(tmp_path: Path, content: str) -> None:
    config = tmp_path / "config"
    config.write_text(content)
    with pytest.raises(ClusterUnreadable, match="kubeconfig"):
        ClusterReader(config)
