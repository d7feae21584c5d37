"""The services read the environment variables and secrets that the operator sets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.fixtures.modeldeployments import GoldenCase, golden_cases, model_deployment, platform

from slipway_batch.settings import BatchSettings
from slipway_core.engines.environment import PASSED_ON_PREFIXES
from slipway_core.errors import InvalidSettings, ModelError
from slipway_core.package.address import PVC_ROOT_VARIABLE
from slipway_core.settings import ServiceSettings
from slipway_inference.settings import InferenceSettings
from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.desired.environment import build_inference_environment
from slipway_operator.desired.volumes import build_volumes
from slipway_operator.kubernetes.objects import Object
from slipway_operator.policy.required_sandbox import LIBRARY_PREFIXES, REFUSED_VARIABLE

OTHER_VARIABLES = {"SLIPWAY_SECRETS_DIR", PVC_ROOT_VARIABLE}
"""Variables that are not fields of the settings."""

SETTINGS: dict[str, type[ServiceSettings]] = {"server": InferenceSettings, "worker": BatchSettings}


def _containers(case: GoldenCase) -> list[Object]:
    return [
        container
        for each in case.objects
        if each["kind"] == "Deployment"
        for container in each["spec"]["template"]["spec"]["containers"]
        if container["name"] in SETTINGS
    ]


def _normalize(value: str) -> str:
    return value.lower().removesuffix(".0")


@pytest.mark.parametrize("case", golden_cases(), ids=lambda case: case.folder.name)
def test_every_variable_is_a_setting_and_every_value_is_accepted(
    case: GoldenCase, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for container in _containers(case):
        settings = SETTINGS[container["name"]]
        environment = {
            each["name"]: each["value"]
            for each in container["env"]
            if each["name"].startswith("SLIPWAY_")
        }
        known = {f"SLIPWAY_{name.upper()}" for name in settings.model_fields}
        assert set(environment) - known <= OTHER_VARIABLES
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            patch.setenv("SLIPWAY_SECRETS_DIR", str(tmp_path))
            loaded = settings.load()
        for name in set(environment) - OTHER_VARIABLES:
            value = getattr(loaded, name.removeprefix("SLIPWAY_").lower())
            assert _normalize(str(value)) == _normalize(environment[name])


def test_mounted_secrets_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volumes = build_volumes(model_deployment(), platform(webhook_secret="webhooks"))
    (projected,) = [each["projected"] for each in volumes if each["name"] == "secrets"]
    for source in projected["sources"]:
        for item in source["secret"]["items"]:
            (tmp_path / item["path"]).write_text(f"scheme://{item['path']}")
    monkeypatch.setenv("SLIPWAY_SECRETS_DIR", str(tmp_path))
    settings = InferenceSettings.load()
    assert settings.database_url.get_secret_value() == "scheme://slipway_database_url"
    assert settings.redis_url.get_secret_value() == "scheme://slipway_redis_url"
    assert settings.webhook_secret.get_secret_value() == "scheme://slipway_webhook_secret"


def test_claims_are_mounted_where_packages_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from slipway_core.package.address import parse_address

    md = model_deployment(model={"uri": "pvc://models/sentiment/v3"})
    environment = build_inference_environment(md, platform())
    monkeypatch.setenv(PVC_ROOT_VARIABLE, environment[PVC_ROOT_VARIABLE])
    path = parse_address(md.spec.model.uri).local_path()
    assert path == Path("/pvc/models/sentiment/v3")


def test_every_model_error_is_a_reason() -> None:
    codes = {kind.__name__ for kind in (*ModelError.__subclasses__(), InvalidSettings)}
    assert codes <= {reason.value for reason in Reason}


def test_variables_of_libraries_are_those_that_engines_get() -> None:
    assert LIBRARY_PREFIXES == PASSED_ON_PREFIXES


@pytest.mark.parametrize("settings", SETTINGS.values())
def test_templates_cannot_set_grants_and_secrets(settings: type[ServiceSettings]) -> None:
    guarded = {
        name
        for name, field in settings.model_fields.items()
        if name.startswith(("allow_", "sandbox", "webhook")) or field.annotation is SecretStr
    }
    assert guarded >= {"sandbox", "sandbox_write", "allow_pickle", "database_url", "redis_url"}
    for name in guarded:
        assert re.fullmatch(REFUSED_VARIABLE, f"SLIPWAY_{name.upper()}"), name
