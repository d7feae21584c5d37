"""Where the platform requires the sandbox, a ModelDeployment cannot replace what confines it."""

from __future__ import annotations

import json

import pytest
from tests.fixtures.modeldeployments import model_deployment, platform
from tests.fixtures.pod_templates import BYPASSES, HARMLESS, Object

from slipway_operator.policy.pod_template import find_refusal

REQUIRED = platform(sandbox="required")
IDS = [f"{name}-{json.dumps(spec)}" for spec, name in BYPASSES]


@pytest.mark.parametrize(("spec", "name"), BYPASSES, ids=IDS)
def test_what_could_bypass_the_sandbox_is_refused_by_name(spec: Object, name: str) -> None:
    md = model_deployment(podTemplate={"spec": spec})
    refusal = find_refusal(md, REQUIRED)
    assert refusal is not None
    assert refusal.fact.startswith("`spec.podTemplate.spec.")
    assert f"as `{name}`" in refusal.fact
    assert find_refusal(md, platform()) is None, "elsewhere the spec may disable the sandbox"
    opened = platform(sandbox="required", pod_template_allowed_fields=(name,))
    assert find_refusal(md, opened) is None


@pytest.mark.parametrize("spec", HARMLESS, ids=json.dumps)
def test_what_leaves_the_program_as_it_is_passes(spec: Object) -> None:
    assert find_refusal(model_deployment(podTemplate={"spec": spec}), REQUIRED) is None


def test_the_container_of_batch_workers_is_held_to_the_same() -> None:
    spec = {"containers": [{"name": "worker", "command": ["sh"]}]}
    refusal = find_refusal(model_deployment(batch={"podTemplate": {"spec": spec}}), REQUIRED)
    assert refusal is not None
    assert refusal.fact.startswith("`spec.batch.podTemplate.spec.containers[worker].command` ")


@pytest.mark.parametrize("component", ["runtime", "batch"])
def test_an_own_image_is_refused_unless_the_platform_allows_it(component: str) -> None:
    spec: Object = {component: {"image": "own:1"}}
    md = model_deployment(**spec)
    refusal = find_refusal(md, REQUIRED)
    assert refusal is not None
    assert refusal.fact.startswith(f"`spec.{component}.image` ")
    allowed = platform(sandbox="required", pod_template_allowed_fields=("containers.image",))
    assert find_refusal(md, allowed) is None
    assert find_refusal(md, platform()) is None


@pytest.mark.parametrize("folder", ["/", "/var/run/slipway/secrets", "/run", "/mnt/../var"])
@pytest.mark.parametrize("field", ["readPaths", "writePaths"])
def test_grants_of_a_model_do_not_reach_the_platforms_secrets(field: str, folder: str) -> None:
    def grant(path: str) -> Object:
        return {"runtime": {"sandbox": {field: [path]}}}

    refusal = find_refusal(model_deployment(**grant(folder)), REQUIRED)
    assert refusal is not None
    assert refusal.fact.startswith(f"`spec.runtime.sandbox.{field}[{folder}]` ")
    allowed = platform(sandbox="required", pod_template_allowed_fields=(f"sandbox.{field}",))
    assert find_refusal(model_deployment(**grant(folder)), allowed) is None
    assert find_refusal(model_deployment(**grant("/mnt/tables")), REQUIRED) is None


def test_values_of_variables_are_not_quoted() -> None:
    variable = {"name": "SLIPWAY_DATABASE_URL", "value": "postgresql://u:password@h/d"}
    spec = {"containers": [{"name": "server", "env": [variable]}]}
    refusal = find_refusal(model_deployment(podTemplate={"spec": spec}), REQUIRED)
    assert refusal is not None
    assert "password" not in refusal.fact
