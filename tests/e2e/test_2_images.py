"""The contents and sizes of the images, which every node downloads."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from tests.fixtures.kind_cluster import KindCluster

BASE = "python:3.11-slim-bookworm"
MAX_OPERATOR_ADDITION_MB = 200
MAX_MB = {"inference": 1450, "batch": 1430, "operator": 330}
NOT_IN_OPERATOR = ("torch", "numpy", "sqlmodel", "sqlalchemy", "psycopg", "redis", "pip")
PRINT_INSTALLED = (
    "import importlib.util, sys; print(*(n for n in sys.argv[1:] if importlib.util.find_spec(n)))"
)


def inspect(image: str) -> dict[str, Any]:
    """Return Docker's metadata of an image."""
    done = subprocess.run(
        ["docker", "image", "inspect", image], capture_output=True, text=True, check=True
    )
    config: dict[str, Any] = json.loads(done.stdout)[0]
    return config


def megabytes(image: str) -> int:
    return int(inspect(image)["Size"]) // 1_000_000


def deployed(cluster: KindCluster, component: str) -> str:
    """Return the image of a component that the cluster runs."""
    tag = json.loads(cluster.helm("get", "values", "slipway", "-o", "json"))["images"]["tag"]
    return f"slipway/{component}:{tag}"


@pytest.mark.parametrize("component", MAX_MB)
def test_images_stay_small(cluster: KindCluster, component: str) -> None:
    assert megabytes(deployed(cluster, component)) <= MAX_MB[component]


def test_the_operator_adds_little_to_its_base(cluster: KindCluster) -> None:
    added = megabytes(deployed(cluster, "operator")) - megabytes(BASE)
    assert added < MAX_OPERATOR_ADDITION_MB


@pytest.mark.parametrize("component", MAX_MB)
def test_images_run_as_an_unprivileged_user(cluster: KindCluster, component: str) -> None:
    config = inspect(deployed(cluster, component))["Config"]
    assert config["User"] == "65532:65532"
    assert config["Labels"]["org.opencontainers.image.title"] == f"slipway-{component}"


def test_the_operator_image_contains_neither_torch_nor_sql(cluster: KindCluster) -> None:
    command = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "python"]
    done = subprocess.run(
        [*command, deployed(cluster, "operator"), "-c", PRINT_INSTALLED, *NOT_IN_OPERATOR],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []
