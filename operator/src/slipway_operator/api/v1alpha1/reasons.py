"""Reasons of conditions: a closed list, each with its meaning and its remedy.

Conditions, events, metrics and the documentation use the same reasons. When a pod reports the code
of an error, such as `ModelIntegrityError`, the reason is that code.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """The `reason` of a condition and of an event."""

    # no fault
    SERVING = "Serving"
    ROLLED_OUT = "RolledOut"
    ROLLING_OUT = "RollingOut"
    STARTING = "Starting"
    MODEL_DOWNLOADING = "ModelDownloading"
    MODEL_LOADING = "ModelLoading"
    STOPPED = "Stopped"
    APPLIED = "Applied"
    ROUTED = "Routed"
    SCALING = "Scaling"
    WAITING_FOR_METRICS = "WaitingForMetrics"
    WAITING_FOR_CONTROLLER = "WaitingForController"
    WORKING = "Working"
    WAITING_FOR_WORK = "WaitingForWork"
    # the model
    MODEL_DOWNLOAD_FAILED = "ModelDownloadFailed"
    MODEL_INTEGRITY_ERROR = "ModelIntegrityError"
    MODEL_ADDRESS_INVALID = "ModelAddressInvalid"
    MODEL_NOT_FOUND = "ModelNotFound"
    MODEL_ACCESS_DENIED = "ModelAccessDenied"
    MODEL_INVALID = "ModelInvalid"
    PICKLE_REFUSED = "PickleRefused"
    SANDBOX_REFUSED = "SandboxRefused"
    MODEL_LOAD_FAILED = "ModelLoadFailed"
    INVALID_SETTINGS = "InvalidSettings"
    # the pods
    IMAGE_PULL_BACK_OFF = "ImagePullBackOff"
    OOM_KILLED = "OOMKilled"
    CRASH_LOOP_BACK_OFF = "CrashLoopBackOff"
    UNSCHEDULABLE = "Unschedulable"
    VOLUME_CLAIM_NOT_FOUND = "VolumeClaimNotFound"
    VOLUME_CLAIM_PENDING = "VolumeClaimPending"
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason, not a secret
    VOLUME_MOUNT_FAILED = "VolumeMountFailed"
    CONTAINER_CONFIG_INVALID = "ContainerConfigInvalid"
    QUOTA_EXCEEDED = "QuotaExceeded"
    POD_REFUSED = "PodRefused"
    EVICTED = "Evicted"
    ROLLOUT_DEADLINE_EXCEEDED = "RolloutDeadlineExceeded"
    NOT_AVAILABLE = "NotAvailable"
    # the route
    INGRESS_CLASS_NOT_FOUND = "IngressClassNotFound"
    ROUTE_CONFLICT = "RouteConflict"
    HOST_NOT_GRANTED = "HostNotGranted"
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    GATEWAY_API_NOT_INSTALLED = "GatewayAPINotInstalled"
    # scaling and batch
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    AUTOSCALER_FAILED = "AutoscalerFailed"
    KEDA_NOT_INSTALLED = "KEDANotInstalled"
    DATABASE_NOT_CONFIGURED = "DatabaseNotConfigured"
    # the operator itself
    POD_TEMPLATE_REFUSED = "PodTemplateRefused"
    REFERENCE_REFUSED = "ReferenceRefused"
    EGRESS_NOT_GRANTED = "EgressNotGranted"
    NAME_TAKEN = "NameTaken"
    APPLY_REJECTED = "ApplyRejected"
    INVALID_SPEC = "InvalidSpec"


class Explanation(NamedTuple):
    """Meaning of a reason, and its remedy; empty when no action is needed."""

    meaning: str
    remedy: str = ""


EXPLANATIONS: dict[Reason, Explanation] = {
    Reason.SERVING: Explanation("The declared model serves requests."),
    Reason.ROLLED_OUT: Explanation("All pods run what the spec declares."),
    Reason.ROLLING_OUT: Explanation("Pods are being replaced; the previous ones still serve."),
    Reason.STARTING: Explanation("Pods are being scheduled and their images pulled."),
    Reason.MODEL_DOWNLOADING: Explanation("The model package is being downloaded and verified."),
    Reason.MODEL_LOADING: Explanation("The server runs and loads the model."),
    Reason.STOPPED: Explanation("`spec.replicas` is 0.", "set `spec.replicas` to serve again"),
    Reason.APPLIED: Explanation("Every object is as the spec declares it."),
    Reason.ROUTED: Explanation("Requests from outside reach the model."),
    Reason.SCALING: Explanation("The autoscaler has its metrics and is active."),
    Reason.WAITING_FOR_METRICS: Explanation("The first metrics of new pods take up to a minute."),
    Reason.WAITING_FOR_CONTROLLER: Explanation(
        "The controller of this object has not processed it yet."
    ),
    Reason.WORKING: Explanation("Batch workers are running."),
    Reason.WAITING_FOR_WORK: Explanation("The queue is empty, so no worker runs."),
    Reason.MODEL_DOWNLOAD_FAILED: Explanation(
        "The package could not be downloaded.",
        "check that the address in `spec.model.uri` can be reached from the cluster",
    ),
    Reason.MODEL_INTEGRITY_ERROR: Explanation(
        "The package does not have the pinned sha256.",
        "correct `spec.model.sha256` if the package was meant to change; otherwise do not serve it",
    ),
    Reason.MODEL_ADDRESS_INVALID: Explanation(
        "The model's URI does not name a package.", "correct `spec.model.uri`"
    ),
    Reason.MODEL_NOT_FOUND: Explanation(
        "There is no package at the model's URI.", "correct `spec.model.uri`"
    ),
    Reason.MODEL_ACCESS_DENIED: Explanation(
        "The credentials do not give access to the package.",
        "name a Secret that gives access in `spec.model.credentialsSecretRef`",
    ),
    Reason.MODEL_INVALID: Explanation(
        "The package or its slipway.yaml cannot be served.",
        "correct the package and publish it again",
    ),
    Reason.PICKLE_REFUSED: Explanation(
        "The weights are pickled, and loading them would run code.",
        "convert them to safetensors, or set `spec.model.allowPickle` for a package you trust",
    ),
    Reason.SANDBOX_REFUSED: Explanation(
        "The package needs more than its sandbox grants, or the node cannot sandbox it.",
        "grant it in `spec.runtime.sandbox`, or run on nodes whose kernel has Landlock",
    ),
    Reason.MODEL_LOAD_FAILED: Explanation(
        "The runtime could not load the model.",
        "run the package on your machine with `slipway local --model`",
    ),
    Reason.INVALID_SETTINGS: Explanation(
        "The server rejected a setting.", "correct the named field or `podTemplate` entry"
    ),
    Reason.IMAGE_PULL_BACK_OFF: Explanation(
        "The node cannot pull an image.",
        "check the image's name and tag, and the pull secret if the registry is private",
    ),
    Reason.OOM_KILLED: Explanation(
        "A container used more memory than its limit.",
        "raise `resources.limits.memory`, or lower `spec.runtime.engines` or `maxBatchTokens`",
    ),
    Reason.CRASH_LOOP_BACK_OFF: Explanation(
        "A container keeps terminating.", "read its log with `kubectl logs --previous`"
    ),
    Reason.UNSCHEDULABLE: Explanation(
        "No node has room for a pod.",
        "lower the requests in `resources`, or add a node that has what is missing",
    ),
    Reason.VOLUME_CLAIM_NOT_FOUND: Explanation(
        "A PersistentVolumeClaim does not exist.",
        "create it in this namespace, or correct `spec.model`",
    ),
    Reason.VOLUME_CLAIM_PENDING: Explanation(
        "A PersistentVolumeClaim has no volume yet.",
        "look at `kubectl describe pvc`: its storage class may be missing or full",
    ),
    Reason.SECRET_NOT_FOUND: Explanation(
        "A Secret, or a key in it, does not exist.", "create it in this namespace"
    ),
    Reason.VOLUME_MOUNT_FAILED: Explanation(
        "A volume cannot be mounted.", "look at the events of the pod"
    ),
    Reason.CONTAINER_CONFIG_INVALID: Explanation(
        "A container cannot be created as declared.", "correct the image or `podTemplate`"
    ),
    Reason.QUOTA_EXCEEDED: Explanation(
        "The namespace's quota leaves no room for a pod.",
        "raise the ResourceQuota, or lower `resources` or the number of replicas",
    ),
    Reason.POD_REFUSED: Explanation(
        "The API server rejects the pods.", "correct `podTemplate` or the namespace's policy"
    ),
    Reason.EVICTED: Explanation(
        "The node evicted a pod because it ran short of resources.",
        "set requests that match what the model uses",
    ),
    Reason.ROLLOUT_DEADLINE_EXCEEDED: Explanation(
        "A rollout made no progress within its deadline.", "look at the events of the pods"
    ),
    Reason.NOT_AVAILABLE: Explanation(
        "Fewer pods are ready than are needed.", "look at the events and logs of the pods"
    ),
    Reason.INGRESS_CLASS_NOT_FOUND: Explanation(
        "No ingress controller serves the configured class.",
        "install one, set the platform's ingress class to an existing one, or disable routing",
    ),
    Reason.ROUTE_CONFLICT: Explanation(
        "An older ModelDeployment has this host and path, or one of another namespace serves all "
        "hosts at this path, so this one has no route.",
        "give `spec.route.host` another name, or set `spec.route.default` to false",
    ),
    Reason.HOST_NOT_GRANTED: Explanation(
        "The platform has not granted the host of the route to this namespace.",
        "use a host that is granted, or let the platform add it to `routing.hosts` of the chart",
    ),
    Reason.ROUTE_NOT_ACCEPTED: Explanation(
        "The gateway does not accept the route.", "check the Gateway's listeners and allowed routes"
    ),
    Reason.GATEWAY_API_NOT_INSTALLED: Explanation(
        "The cluster does not have the Gateway API.",
        "install the Gateway API, or use ingress routing",
    ),
    Reason.METRICS_UNAVAILABLE: Explanation(
        "The autoscaler gets no CPU metrics, so it does not scale.",
        "install metrics-server, or use `spec.replicas` instead of `spec.autoscaling`",
    ),
    Reason.AUTOSCALER_FAILED: Explanation(
        "The autoscaler reports an error.", "look at the events of the autoscaler"
    ),
    Reason.KEDA_NOT_INSTALLED: Explanation(
        "Without KEDA, batch workers scale by CPU and do not stop when idle.",
        "install KEDA to scale by queue length, down to zero",
    ),
    Reason.DATABASE_NOT_CONFIGURED: Explanation(
        "Batch needs PostgreSQL and Redis, and the platform has none configured.",
        "configure them for the platform, or remove `spec.batch`",
    ),
    Reason.POD_TEMPLATE_REFUSED: Explanation(
        "The pods would have more than the Pod Security Standard `restricted` permits, or could "
        "bypass the sandbox that the platform requires.",
        "remove the field, or list its name in `operator.podTemplate.allowedFields` of the chart",
    ),
    Reason.REFERENCE_REFUSED: Explanation(
        "A Secret or claim that the spec names is not for ModelDeployments.",
        "name one that is; pods that run stay as they are",
    ),
    Reason.EGRESS_NOT_GRANTED: Explanation(
        "The platform has not granted a connection that `spec.network.egress` asks for.",
        "remove it, or let the platform add it to `networkPolicies.egress` of the chart",
    ),
    Reason.NAME_TAKEN: Explanation(
        "An object with the required name exists and has another owner.",
        "remove or rename it, or rename the ModelDeployment",
    ),
    Reason.APPLY_REJECTED: Explanation(
        "The API server rejects an object.", "correct what the message names"
    ),
    Reason.INVALID_SPEC: Explanation(
        "This operator cannot read the ModelDeployment.",
        "apply it again once the operator and its CRD have the same version",
    ),
}
