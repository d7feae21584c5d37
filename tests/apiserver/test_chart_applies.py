"""The objects of the chart are valid for an API server, and the passwords job works on it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

import pytest
import yaml
from tests.fixtures.apiserver import ApiServer
from tests.fixtures.chart import CHART

pytestmark = pytest.mark.apiserver

MONITORING_KINDS = {"ServiceMonitor", "PrometheusRule"}
"""Their CRDs are not part of the test cluster."""


@pytest.fixture
def namespace(apiserver: ApiServer, request: pytest.FixtureRequest) -> str:
    """Create the CRD, and a namespace that warns about pods below the restricted standard."""
    name = f"chart-{crc32(request.node.nodeid.encode())}"
    labels = {"pod-security.kubernetes.io/warn": "restricted"}
    manifest = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
    }
    crds = CHART / "crds"
    for arguments, stdin in (
        (["apply", "--server-side", "--force-conflicts", "-f", str(crds)], None),
        (["wait", "--for=condition=Established", "--timeout=30s", "-f", str(crds)], None),
        (["apply", "-f", "-"], json.dumps(manifest)),
    ):
        done = apiserver.kubectl(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
    return name


def test_objects_pass_strict_validation_and_the_restricted_standard(
    apiserver: ApiServer,
    namespace: str,
    template: Callable[..., subprocess.CompletedProcess[str]],
    values_file: Path,
) -> None:
    rendered = template("--namespace", namespace, "--values", values_file)
    manifests = [
        manifest
        for manifest in yaml.safe_load_all(rendered.stdout)
        if manifest
        and manifest["kind"] not in MONITORING_KINDS
        # Values may name namespaces that do not exist in this cluster.
        and manifest["metadata"].get("namespace", namespace) == namespace
    ]
    text = yaml.safe_dump_all(manifests)
    done = apiserver.kubectl(
        "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert len(done.stdout.splitlines()) == len(manifests)


SECRETS = {
    "slipway-postgresql": ("slipway-postgresql", "slipway"),
    "slipway-postgresql-owner": ("slipway-postgresql", "slipway_owner"),
    "slipway-postgresql-reader": ("slipway-postgresql", "slipway_reader"),
    "slipway-redis": ("slipway-redis", ""),
}
"""The generated Secrets, each with the name of its server and its user."""


def secret_values(apiserver: ApiServer, namespace: str, name: str) -> dict[str, str]:
    secret = apiserver.kubectl("-n", namespace, "get", "secret", name, "-o", "json")
    assert secret.returncode == 0, secret.stderr
    data = json.loads(secret.stdout)["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


@pytest.fixture
def make_passwords(
    apiserver: ApiServer,
    namespace: str,
    render: Callable[..., list[dict[str, Any]]],
    tmp_path: Path,
) -> Callable[[], subprocess.CompletedProcess[str]]:
    """Return a function that runs the command of the job with the job's service account."""
    manifests = [
        manifest
        for manifest in render("--namespace", namespace)
        if manifest["metadata"]["name"].startswith("slipway-passwords")
    ]
    job = next(manifest for manifest in manifests if manifest["kind"] == "Job")
    prerequisites = [manifest for manifest in manifests if manifest["kind"] != "Job"]
    applied = apiserver.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(prerequisites))
    assert applied.returncode == 0, applied.stderr
    token = apiserver.kubectl("-n", namespace, "create", "token", "slipway-passwords")
    assert token.returncode == 0, token.stderr
    (tmp_path / "token").write_text(token.stdout.strip())
    certificate = apiserver.folder / "certificates" / "apiserver.crt"
    (tmp_path / "ca.crt").write_bytes(certificate.read_bytes())
    container = job["spec"]["template"]["spec"]["containers"][0]
    url = urlsplit(apiserver.url)
    environment = {
        **{each["name"]: each["value"] for each in container["env"]},
        "KUBERNETES_SERVICE_HOST": str(url.hostname),
        "KUBERNETES_SERVICE_PORT": str(url.port),
        "ACCOUNT_FOLDER": str(tmp_path),
        "PATH": os.environ["PATH"],
    }

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *container["command"][1:], *container["args"]],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_passwords_are_generated_once_and_kept(
    apiserver: ApiServer,
    namespace: str,
    make_passwords: Callable[[], subprocess.CompletedProcess[str]],
) -> None:
    first = make_passwords()
    assert first.returncode == 0, first.stderr
    created = {name: secret_values(apiserver, namespace, name) for name in SECRETS}
    second = make_passwords()
    assert second.returncode == 0, second.stderr
    assert {name: secret_values(apiserver, namespace, name) for name in SECRETS} == created

    for name, values in created.items():
        assert len(values["password"]) >= 32
        address = urlsplit(values["url"])
        assert address.password == values["password"]
        assert address.hostname == f"{SECRETS[name][0]}.{namespace}.svc"
        assert (address.username or "") == SECRETS[name][1]
    assert (
        f"requirepass {created['slipway-redis']['password']}\n"
        in created["slipway-redis"]["valkey.conf"]
    )
    passwords = {values["password"] for values in created.values()}
    assert len(passwords) == len(SECRETS)
    assert not any(password in first.stdout + first.stderr for password in passwords)


def test_secrets_belong_to_the_release(
    apiserver: ApiServer,
    namespace: str,
    make_passwords: Callable[[], subprocess.CompletedProcess[str]],
) -> None:
    assert make_passwords().returncode == 0
    for name in SECRETS:
        secret = apiserver.kubectl("-n", namespace, "get", "secret", name, "-o", "json")
        meta = json.loads(secret.stdout)["metadata"]
        owner = meta["ownerReferences"][0]
        assert (owner["kind"], owner["name"]) == ("ServiceAccount", "slipway-passwords")
        assert meta["labels"]["app.kubernetes.io/instance"] == "slipway"


def test_the_job_reports_why_it_fails(
    apiserver: ApiServer,
    namespace: str,
    make_passwords: Callable[[], subprocess.CompletedProcess[str]],
) -> None:
    removed = apiserver.kubectl("-n", namespace, "delete", "rolebinding", "slipway-passwords")
    assert removed.returncode == 0, removed.stderr
    done = make_passwords()
    assert done.returncode != 0
    assert "403" in done.stderr
    assert "forbidden" in done.stderr
