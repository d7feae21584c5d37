"""Properties of every object of the chart, with all values files."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.fixtures.chart import CHART

Manifest = dict[str, Any]

CLUSTER_WIDE = {
    "ClusterRole", "ClusterRoleBinding", "Namespace", "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}  # fmt: skip
MODEL = "ModelDeployment"
DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def pod_specs(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Yield the name and spec of every pod and pod template."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        name = f"{manifest['kind']}/{manifest['metadata']['name']}"
        if manifest["kind"] == "Pod":
            yield name, spec
        elif "template" in spec:
            yield name, spec["template"]["spec"]


def containers(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for name, spec in pod_specs(manifests):
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            yield f"{name}/{container['name']}", container


def test_lint_finds_nothing(
    helm: Callable[..., subprocess.CompletedProcess[str]], values_file: Path
) -> None:
    done = helm("lint", "--strict", "--kube-version", "1.34", CHART, "--values", values_file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_every_pod_meets_the_restricted_standard(manifests: list[Manifest]) -> None:
    specs = list(pod_specs(manifests))
    assert specs
    for name, spec in specs:
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] > 0, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}, name
        for volume in spec.get("volumes", []):
            assert volume.keys() & {"secret", "emptyDir", "projected", "configMap"}, name


def test_no_pod_delays_the_deletion_of_its_namespace_by_half_a_minute(
    manifests: list[Manifest],
) -> None:
    """Kubernetes retries the deletion after half of the grace period of a remaining pod."""
    for name, spec in pod_specs(manifests):
        long_running = not name.startswith(("Job/", "Pod/"))
        assert not long_running or spec.get("terminationGracePeriodSeconds", 30) <= 20, name


def test_no_pod_has_environment_variables_of_services(manifests: list[Manifest]) -> None:
    """A Service `slipway-operator` would set SLIPWAY_OPERATOR_PORT to a URL."""
    for name, spec in pod_specs(manifests):
        assert spec["enableServiceLinks"] is False, name


def test_every_container_is_restricted_and_has_resources(manifests: list[Manifest]) -> None:
    for name, container in containers(manifests):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert container["imagePullPolicy"] == "IfNotPresent", name
        assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
        assert "memory" in container["resources"]["limits"], name


def test_only_pods_that_call_the_api_have_a_token(manifests: list[Manifest]) -> None:
    holders = {
        spec["serviceAccountName"].rpartition("-")[2]
        for _, spec in pod_specs(manifests)
        if spec["automountServiceAccountToken"]
    }
    assert holders <= {"operator", "passwords"}


def test_names_and_labels_are_complete(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        meta = manifest["metadata"]
        name = f"{manifest['kind']}/{meta['name']}"
        assert DNS_NAME.fullmatch(meta["name"]), name
        assert ("namespace" in meta) != (manifest["kind"] in CLUSTER_WIDE), name
        assert meta["labels"]["app.kubernetes.io/part-of"] == "slipway", name
        assert meta["labels"]["app.kubernetes.io/managed-by"] == "Helm", name
        assert meta["labels"]["helm.sh/chart"].startswith("slipway-"), name


def test_selectors_are_minimal_and_match_their_pods(manifests: list[Manifest]) -> None:
    pods = [
        manifest["spec"]["template"]["metadata"]["labels"]
        for manifest in manifests
        if "template" in manifest.get("spec", {})
    ]
    for manifest in manifests:
        selector = manifest.get("spec", {}).get("selector")
        if manifest["kind"] in ("Deployment", "StatefulSet"):
            selector = selector["matchLabels"]
            labels = manifest["spec"]["template"]["metadata"]["labels"]
            assert selector.items() <= labels.items()
        elif manifest["kind"] != "Service":
            continue
        assert selector.keys() == {
            "app.kubernetes.io/name",
            "app.kubernetes.io/instance",
            "app.kubernetes.io/component",
        }
        assert any(selector.items() <= labels.items() for labels in pods)


def test_no_object_holds_a_secret(
    template: Callable[..., subprocess.CompletedProcess[str]], values_file: Path
) -> None:
    """Rendered objects stay in the release history, after installation and upgrade."""
    for mode in (["--no-hooks"], ["--is-upgrade"]):
        rendered = template("--values", values_file, *mode).stdout
        assert "kind: Secret" not in rendered
        for line in rendered.splitlines():
            if re.match(r"\s*value:", line):
                assert "://" not in line or "@" not in line, line


def test_the_same_values_render_the_same_text(
    template: Callable[..., subprocess.CompletedProcess[str]], values_file: Path
) -> None:
    first, second = (template("--values", values_file).stdout for _ in range(2))
    assert first == second


def test_names_stay_short_enough_with_the_longest_release_name(
    helm: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = helm("template", "r" * 53, CHART, "--kube-version", "1.34")
    assert done.returncode == 0, done.stderr
    names = re.findall(r"^  name: (.+)$", done.stdout, re.MULTILINE)
    assert max(map(len, names)) <= 63


def test_default_requests_fit_a_small_node(render: Callable[..., list[Manifest]]) -> None:
    """On a node with 2 cores and 6 GiB, most resources must be left for the models."""
    running = [m for m in render() if m["kind"] in ("Deployment", "StatefulSet")]
    requests = [container["resources"]["requests"] for _, container in containers(running)]
    assert sum(int(request["cpu"].removesuffix("m")) for request in requests) <= 300
    assert sum(int(request["memory"].removesuffix("Mi")) for request in requests) <= 640


def test_roles_of_users_include_modeldeployments(render: Callable[..., list[Manifest]]) -> None:
    def roles(*options: str) -> dict[str, Manifest]:
        label = "rbac.authorization.k8s.io/aggregate-to-view"
        return {
            "view" if label in each["metadata"]["labels"] else "edit": each
            for each in render(*options)
            if each["kind"] == "ClusterRole"
            and any("aggregate-to" in key for key in each["metadata"]["labels"])
        }

    found = roles()
    assert set(found) == {"view", "edit"}
    assert found["view"]["rules"][0]["verbs"] == ["get", "list", "watch"]
    assert "create" in found["edit"]["rules"][0]["verbs"]
    for role in found.values():
        assert role["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-admin"] == "true"
        assert {group for rule in role["rules"] for group in rule["apiGroups"]} == {
            "serving.slipway.dev"
        }
    assert roles("--set", "operator.aggregateRoles=false") == {}


def test_created_namespaces_enforce_the_restricted_standard(
    render: Callable[..., list[Manifest]],
) -> None:
    options = ("--set", "operator.createNamespaces=true", "--set")
    manifests = render(*options, "operator.namespaces={models,research}")
    (namespace,) = [each for each in manifests if each["kind"] == "Namespace"]
    assert namespace["metadata"]["name"] == "research"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert namespace["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
