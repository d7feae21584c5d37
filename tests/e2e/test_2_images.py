"""What the images hold, and how large they are: a node fetches all of it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from tests.fixtures.kind_cluster import KindCluster

BASE = "python:3.11-slim-bookworm"
OPERATOR_ABOVE_BASE_MB = 200
LARGEST_MB = {"inference": 1450, "batch": 1430, "operator": 330}
NOT_IN_OPERATOR = ("torch", "numpy", "sqlmodel", "sqlalchemy", "psycopg", "redis", "pip")
HAS = "import importlib.util, sys; print(*(n for n in sys.argv[1:] if importlib.util.find_spec(n)))"


def inspect(image: str) -> dict[str, Any]:
    """What Docker knows of an image."""
    done = subprocess.run(
        ["docker", "image", "inspect", image], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


def megabytes(image: str) -> int:
    return int(inspect(image)["Size"]) // 1_000_000


def deployed(cluster: KindCluster, component: str) -> str:
    """The image that the cluster runs."""
    tag = json.loads(cluster.helm("get", "values", "slipway", "-o", "json"))["images"]["tag"]
    return f"slipway/{component}:{tag}"


@pytest.mark.parametrize("component", LARGEST_MB)
def test_images_stay_small(cluster: KindCluster, component: str) -> None:
    assert megabytes(deployed(cluster, component)) <= LARGEST_MB[component]


def test_the_operator_adds_little_to_its_base(cluster: KindCluster) -> None:
    added = megabytes(deployed(cluster, "operator")) - megabytes(BASE)
    assert added < OPERATOR_ABOVE_BASE_MB


@pytest.mark.parametrize("component", LARGEST_MB)
def test_images_run_as_a_user_without_rights(cluster: KindCluster, component: str) -> None:
    config = inspect(deployed(cluster, component))["Config"]
    assert config["User"] == "65532:65532"
    assert config["Labels"]["org.opencontainers.image.title"] == f"slipway-{component}"


def test_the_operator_carries_neither_torch_nor_sql(cluster: KindCluster) -> None:
    command = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "python"]
    done = subprocess.run(
        [*command, deployed(cluster, "operator"), "-c", HAS, *NOT_IN_OPERATOR],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []
