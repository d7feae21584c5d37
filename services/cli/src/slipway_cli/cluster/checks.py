"""The checks of `slipway doctor --cluster`: each examines one thing and says how to fix it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from slipway_cli.cluster.reader import (
    ADMISSION_POLICY,
    API_SERVICE,
    CRD,
    DAEMON_SET,
    INGRESS_CLASS,
    MODEL_DEPLOYMENT,
    NAMESPACE,
    NODE,
    ClusterReader,
    ClusterUnreadable,
    Object,
)
from slipway_cli.cluster.sandbox import find_sandbox
from slipway_cli.cluster.versions import version_numbers
from slipway_cli.finding import Finding, list_names

MODEL_CRD = "modeldeployments.serving.slipway.dev"
CRD_VERSION = "serving.slipway.dev/crd-version"
CREDENTIALS_LABEL = "serving.slipway.dev/credentials"
ENFORCE_LABEL = "pod-security.kubernetes.io/enforce"
DEFAULT_SANDBOX = "auto"
ENFORCING_PLUGINS = frozenset(
    {
        "anetd", "antrea-agent", "calico-node", "canal", "cilium", "kube-network-policies",
        "kube-router", "ovnkube-node", "weave-net",
    }
)  # fmt: skip
"""DaemonSets of network plugins that enforce NetworkPolicies."""
SECRET_FIELDS = frozenset(
    {"credentialsSecretRef", "nodePublishSecretRef", "secret", "secretKeyRef", "secretRef"}
)
"""Fields of a ModelDeployment that name a Secret which its pods read, as the operator judges."""
OPERATOR_PREFIX = "SLIPWAY_OPERATOR_"


@dataclass(frozen=True)
class Installation:
    """An operator with its cluster and all ModelDeployments."""

    cluster: ClusterReader
    operator: Object
    models: list[Object]

    @property
    def settings(self) -> dict[str, str]:
        """Settings of the operator by the names of their variables, without the prefix."""
        (container, *_) = self.operator["spec"]["template"]["spec"]["containers"]
        return {
            each["name"].removeprefix(OPERATOR_PREFIX): str(each.get("value", ""))
            for each in container.get("env") or []
        }

    @property
    def namespaces(self) -> list[str]:
        """Namespaces that the operator serves, or those with ModelDeployments if it serves all."""
        served: list[str] = json.loads(self.settings.get("NAMESPACES") or "[]")
        return served or sorted({each["metadata"]["namespace"] for each in self.models})


def diagnose_cluster(cluster: ClusterReader) -> list[Finding]:
    """Run all checks; those of an installation once for each operator."""
    general = [check_crd, check_metrics_server, check_prometheus, check_keda, check_admission]
    findings = [_run(check, cluster) for check in general]
    try:
        operators, models = cluster.operators(), cluster.list_all(MODEL_DEPLOYMENT)
    except ClusterUnreadable as error:
        return [*findings, _unreadable("operator", error)]
    findings.append(check_operators(operators))
    if not operators:
        findings.append(_run(check_nodes, cluster))
    for operator in operators:
        installation = Installation(cluster, operator, models)
        for inner in (
            check_routes, check_hosts, check_sandbox, check_pod_security, check_network,
        ):  # fmt: skip
            findings.append(_run(inner, installation))
    return [*findings, _run(check_secrets, (cluster, models)), check_models(models)]


def _run(check: Callable[[Any], Finding], subject: Any) -> Finding:
    try:
        return check(subject)
    except ClusterUnreadable as error:
        return _unreadable(check.__name__.removeprefix("check_"), error)


def _unreadable(name: str, error: ClusterUnreadable) -> Finding:
    remedy = "use a kubeconfig that reaches the cluster and may read this"
    return Finding(name, "warn", f"cannot be read: {error}", remedy)


def check_crd(cluster: ClusterReader) -> Finding:
    """Check that the CRD is installed and not older than this release."""
    crd, own = cluster.get(CRD, MODEL_CRD), version("slipway-cli")
    if crd is None:
        return Finding("crd", "fail", f"{MODEL_CRD} is not installed", "install the chart")
    found = (crd["metadata"].get("annotations") or {}).get(CRD_VERSION, "unknown")
    if version_numbers(found) < version_numbers(own):
        remedy = "upgrade the operator, which applies its CRD when it starts"
        return Finding("crd", "warn", f"version {found}; this command has {own}", remedy)
    return Finding("crd", "ok", f"version {found}")


def check_operators(operators: list[Object]) -> Finding:
    """Check that an operator runs."""
    if not operators:
        remedy = "install the chart: helm install slipway charts/slipway"
        return Finding("operator", "fail", "no operator is installed", remedy)
    down = [each for each in operators if not each.get("status", {}).get("readyReplicas")]
    if down:
        meta = down[0]["metadata"]
        remedy = f"kubectl -n {meta['namespace']} describe deployment {meta['name']}"
        return Finding("operator", "fail", f"{_full_name(down[0])} is not ready", remedy)
    return Finding("operator", "ok", list_names([_full_name(each) for each in operators]))


def check_metrics_server(cluster: ClusterReader) -> Finding:
    """Check that the metrics API is served, by which models scale."""
    service = cluster.get(API_SERVICE, "v1beta1.metrics.k8s.io") or {}
    conditions = service.get("status", {}).get("conditions") or []
    if any(each["type"] == "Available" and each["status"] == "True" for each in conditions):
        return Finding("metrics", "ok", "the metrics API is available")
    message = "the metrics API is not available: models with `autoscaling` do not scale"
    return Finding("metrics", "warn", message, "install metrics-server, or use `replicas`")


def check_prometheus(cluster: ClusterReader) -> Finding:
    """Check whether the Prometheus Operator is installed."""
    return _optional(
        cluster, "prometheus", "servicemonitors.monitoring.coreos.com", "the Prometheus Operator"
    )


def check_keda(cluster: ClusterReader) -> Finding:
    """Check whether KEDA is installed, which scales batch workers to zero."""
    return _optional(cluster, "keda", "scaledobjects.keda.sh", "KEDA")


def _optional(cluster: ClusterReader, name: str, crd: str, product: str) -> Finding:
    if cluster.get(CRD, crd):
        return Finding(name, "ok", f"{product} is installed")
    remedy = f"install {product} if you want what docs/kubernetes.md says it is used for"
    return Finding(name, "warn", f"{product} is not installed", remedy)


def check_admission(cluster: ClusterReader) -> Finding:
    """Check that refused pod templates are reported when they are applied."""
    for each in cluster.list_all(ADMISSION_POLICY):
        for rule in each["spec"].get("matchConstraints", {}).get("resourceRules") or []:
            if "modeldeployments" in rule.get("resources", []):
                return Finding("admission", "ok", f"policy {each['metadata']['name']}")
    message = "no ValidatingAdmissionPolicy: only conditions report refused pod templates"
    return Finding("admission", "warn", message, "set operator.admissionPolicy=true in the chart")


def check_routes(installation: Installation) -> Finding:
    """Check that what the routes need is installed."""
    settings, cluster = installation.settings, installation.cluster
    routing, name = settings.get("ROUTING"), settings.get("INGRESS_CLASS", "nginx")
    if routing == "none":
        return Finding("routes", "ok", "disabled by routing.provider")
    if routing == "gateway":
        if cluster.get(CRD, "httproutes.gateway.networking.k8s.io"):
            return Finding("routes", "ok", "the Gateway API is installed")
        remedy = "install it, or set routing.provider to nginx or none"
        return Finding("routes", "fail", "the Gateway API is not installed", remedy)
    if cluster.get(INGRESS_CLASS, name):
        return Finding("routes", "ok", f"IngressClass {name} exists")
    remedy = "install an ingress controller of that class, or set routing.provider=none"
    return Finding("routes", "fail", f"the cluster has no IngressClass {name}", remedy)


def check_hosts(installation: Installation) -> Finding:
    """Report which namespaces may have routes at which hosts."""
    grants: dict[str, list[str]] = json.loads(installation.settings.get("HOST_GRANTS") or "{}")
    without = [each for each in installation.namespaces if not {each, "*"} & grants.keys()]
    shown = "; ".join(f"{name}: {', '.join(hosts)}" for name, hosts in sorted(grants.items()))
    if not without:
        return Finding("hosts", "ok", shown or "none")
    message = f"no hosts are granted to {list_names(without)} ({shown or 'no grants'})"
    return Finding("hosts", "warn", message, f"set routing.hosts.{without[0]} in the chart")


def check_nodes(cluster: ClusterReader) -> Finding:
    """Check that the kernels of the nodes can sandbox models, before an installation."""
    return find_sandbox(cluster.list_all(NODE), DEFAULT_SANDBOX, "")


def check_sandbox(installation: Installation) -> Finding:
    """Check that the kernels of the nodes can sandbox models, as the installation says."""
    served = set(installation.namespaces)
    unconfined = [
        _full_name(each)
        for each in installation.models
        if each["metadata"]["namespace"] in served
        and each.get("status", {}).get("sandbox") == "Inactive"
    ]
    mode = installation.settings.get("SANDBOX") or DEFAULT_SANDBOX
    return find_sandbox(installation.cluster.list_all(NODE), mode, list_names(unconfined))


def check_pod_security(installation: Installation) -> Finding:
    """Check that the namespaces of models enforce the restricted standard."""
    lax = []
    for name in installation.namespaces:
        namespace = installation.cluster.get(NAMESPACE, name) or {"metadata": {}}
        if (namespace["metadata"].get("labels") or {}).get(ENFORCE_LABEL) != "restricted":
            lax.append(name)
    if not lax:
        return Finding("pods", "ok", "all namespaces of models enforce `restricted`")
    remedy = f"kubectl label namespace {' '.join(lax)} {ENFORCE_LABEL}=restricted"
    return Finding("pods", "warn", f"{list_names(lax)} does not enforce `restricted`", remedy)


def check_network(installation: Installation) -> Finding:
    """Check that NetworkPolicies exist, and whether something is known to enforce them."""
    if installation.settings.get("NETWORK_POLICIES") == "false":
        remedy = "set networkPolicies.enabled=true in the chart"
        return Finding("network", "warn", "networkPolicies.enabled is false", remedy)
    daemons = {each["metadata"]["name"] for each in installation.cluster.list_all(DAEMON_SET)}
    if known := daemons & ENFORCING_PLUGINS:
        return Finding("network", "ok", f"{list_names(sorted(known))} enforces NetworkPolicies")
    message = "it is not known whether the network plugin enforces NetworkPolicies"
    return Finding("network", "warn", message, "read its documentation, or use one that does")


def check_secrets(subject: tuple[ClusterReader, list[Object]]) -> Finding:
    """Check that the Secrets which ModelDeployments name exist and are labelled for them."""
    cluster, models = subject
    named = {
        (model["metadata"]["namespace"], name)
        for model in models
        for name in _secrets_in(model["spec"])
    }
    for namespace, name in sorted(named):
        labels = cluster.secret_labels(namespace, name)
        if labels is None:
            remedy = "create it, or correct the ModelDeployment"
            return Finding("secrets", "fail", f"{namespace}/{name} does not exist", remedy)
        if labels.get(CREDENTIALS_LABEL) != "true":
            remedy = f"kubectl -n {namespace} label secret {name} {CREDENTIALS_LABEL}=true"
            message = f"{namespace}/{name} is not labelled for ModelDeployments"
            return Finding("secrets", "fail", message, remedy)
    return Finding("secrets", "ok", f"{len(named)} named by ModelDeployments")


def check_models(models: list[Object]) -> Finding:
    """Check that all ModelDeployments are ready that were not stopped."""
    causes: Counter[str] = Counter()
    shown = []
    for model in models:
        conditions = model.get("status", {}).get("conditions") or []
        ready: Object = next((each for each in conditions if each["type"] == "Ready"), {})
        reason = str(ready.get("reason", "unknown"))
        if ready.get("status") != "True" and reason != "Stopped":
            causes[reason] += 1
            shown.append(_full_name(model))
    if not shown:
        return Finding("models", "ok", f"{len(models)} ModelDeployments, none with a problem")
    message = f"{list_names(shown)} not ready: {', '.join(sorted(causes))}"
    return Finding("models", "fail", message, "kubectl describe md: the condition says what to do")


def _secrets_in(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _secrets_in(item)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key == "secretName" and isinstance(inner, str):
                yield inner
            elif key in SECRET_FIELDS and isinstance(inner, dict) and "name" in inner:
                yield str(inner["name"])
            yield from _secrets_in(inner)


def _full_name(body: Object) -> str:
    return f"{body['metadata']['namespace']}/{body['metadata']['name']}"
