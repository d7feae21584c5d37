"""Effects of the platform's settings on a ModelDeployment with batch workers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fixtures.modeldeployments import build_objects, model_deployment, platform

from slipway_operator.configuration import Platform
from slipway_operator.kubernetes.capabilities import Capabilities
from slipway_operator.kubernetes.objects import Object

EVERYTHING = Capabilities(keda=True, service_monitors=True)


def _objects(settings: Platform) -> dict[tuple[str, str], Object]:
    built = build_objects(model_deployment(batch={}), settings, EVERYTHING)
    return {(each["kind"], each["metadata"]["name"]): each for each in built}


def test_monitors_have_the_platforms_labels_and_their_own() -> None:
    labels = {"release": "prometheus", "serving.slipway.dev/model": "other"}
    monitor = _objects(platform(monitor_labels=labels))["ServiceMonitor", "minilm"]
    own = _objects(platform())["ServiceMonitor", "minilm"]["metadata"]["labels"]
    assert monitor["metadata"]["labels"] == {"release": "prometheus", **own}


def test_service_monitors_can_be_disabled() -> None:
    assert ("ServiceMonitor", "minilm") in _objects(platform())
    assert ("ServiceMonitor", "minilm") not in _objects(platform(service_monitors=False))


def test_monitors_are_configured_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_OPERATOR_SERVICE_MONITORS", "false")
    monkeypatch.setenv("SLIPWAY_OPERATOR_MONITOR_LABELS", '{"release": "prometheus"}')
    read = Platform()
    assert read.service_monitors is False
    assert read.monitor_labels == {"release": "prometheus"}


@pytest.mark.parametrize(
    ("keys", "parameters"),
    [
        ({}, {"password": "password"}),
        ({"redis_username_key": "user"}, {"password": "password", "username": "user"}),
        ({"redis_password_key": "", "redis_username_key": "user"}, {"username": "user"}),
        ({"redis_password_key": ""}, {}),
    ],
)
def test_keda_gets_the_credentials_of_the_queue(
    keys: dict[str, Any], parameters: dict[str, str]
) -> None:
    objects = _objects(platform(**keys))
    (trigger,) = objects["ScaledObject", "minilm-batch"]["spec"]["triggers"]
    references = objects.get(("TriggerAuthentication", "minilm-batch"), {"spec": {}})["spec"]
    targets = references.get("secretTargetRef", [])
    assert {each["parameter"]: each["key"] for each in targets} == parameters
    assert {each["name"] for each in targets} <= {"slipway-redis"}
    assert ("authenticationRef" in trigger) == bool(targets)


def test_keda_uses_tls_where_redis_does() -> None:
    def metadata(**settings: Any) -> dict[str, str]:
        scaled = _objects(platform(**settings))["ScaledObject", "minilm-batch"]
        return dict(scaled["spec"]["triggers"][0]["metadata"])

    assert "enableTLS" not in metadata()
    assert metadata(redis_tls=True)["enableTLS"] == "true"


def test_egress_to_the_internet_is_allowed_for_webhooks_only() -> None:
    def open_ports(settings: Platform, name: str) -> set[int]:
        egress = _objects(settings)["NetworkPolicy", name]["spec"]["egress"]
        return {each["port"] for rule in egress for each in rule["ports"]}

    for name in ("minilm", "minilm-batch"):
        assert not {80, 443} & open_ports(platform(), name)
        assert {80, 443} <= open_ports(platform(webhook_secret="hooks"), name)


def test_the_webhook_key_is_mounted_where_the_services_read_it() -> None:
    settings = platform(webhook_secret="hooks", webhook_secret_key="key")
    for name in ("minilm", "minilm-batch"):
        spec = _objects(settings)["Deployment", name]["spec"]["template"]["spec"]
        (sources,) = [
            each["projected"]["sources"] for each in spec["volumes"] if each["name"] == "secrets"
        ]
        items = [{"key": "key", "path": "slipway_webhook_secret"}]
        assert {"secret": {"name": "hooks", "items": items}} in sources


def test_payload_logging_and_retention_reach_the_containers() -> None:
    settings = platform(payload_logging="input", retention_days=7)
    objects = _objects(settings)

    def environment(name: str) -> dict[str, str]:
        (container,) = objects["Deployment", name]["spec"]["template"]["spec"]["containers"]
        return {each["name"]: each["value"] for each in container["env"]}

    server, worker = environment("minilm"), environment("minilm-batch")
    assert server["SLIPWAY_PAYLOAD_LOGGING"] == "input"
    assert "SLIPWAY_PAYLOAD_LOGGING" not in worker
    assert server["SLIPWAY_RETENTION_DAYS"] == worker["SLIPWAY_RETENTION_DAYS"] == "7"
    assert "SLIPWAY_DATABASE_MAX_BYTES" not in server


def test_the_database_takes_three_quarters_of_its_volume() -> None:
    objects = _objects(platform(database_volume_size="8Gi"))
    for name in ("minilm", "minilm-batch"):
        (container,) = objects["Deployment", name]["spec"]["template"]["spec"]["containers"]
        variables = {each["name"]: each.get("value") for each in container["env"]}
        assert variables["SLIPWAY_DATABASE_MAX_BYTES"] == str(6 * 1024**3)
