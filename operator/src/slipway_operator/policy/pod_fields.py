"""The fields of a pod template that keep pods within the Pod Security Standard `restricted`.

A field that is not listed is refused, so that fields of future versions of Kubernetes are as well.
https://kubernetes.io/docs/concepts/security/pod-security-standards lists what the standard demands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Check: TypeAlias = Callable[[Any], bool]
Fields: TypeAlias = "Mapping[str, Check | Fields]"
"""Fields of an object, or of each object of a list: a check of the value, or the fields below."""


def anything(_: Any) -> bool:
    """Accept every value."""
    return True


def one_of(*accepted: Any) -> Check:
    """Return a check for some values. In YAML, `1` is not `true`."""
    return lambda value: any(type(value) is type(each) and value == each for each in accepted)


def is_other_user_than_root(value: Any) -> bool:
    """Accept the number of a user without privileges."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def drops_all(value: Any) -> bool:
    """Accept dropped capabilities that are all."""
    return isinstance(value, list) and "ALL" in value


def adds_harmless(value: Any) -> bool:
    """Accept the one capability that the standard lets containers add."""
    return isinstance(value, list) and set(map(str, value)) <= {"NET_BIND_SERVICE"}


def _all(*names: str) -> dict[str, Check]:
    return dict.fromkeys(names, anything)


SAFE_SYSCTLS = (
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_syncookies",
)  # fmt: skip
"""Settings of the kernel that belong to a pod alone."""

_CONFINEMENT: Fields = {
    "appArmorProfile": {"type": one_of("RuntimeDefault", "Localhost"), **_all("localhostProfile")},
    "runAsGroup": anything,
    "runAsNonRoot": one_of(True),
    "runAsUser": is_other_user_than_root,
    "seLinuxOptions": {
        "level": anything,
        "type": one_of("", "container_t", "container_init_t", "container_kvm_t"),
    },
    "seccompProfile": {"type": one_of("RuntimeDefault", "Localhost"), **_all("localhostProfile")},
}

_POD_SECURITY: Fields = {
    **_CONFINEMENT,
    **_all("fsGroup", "fsGroupChangePolicy", "supplementalGroups", "supplementalGroupsPolicy"),
    "sysctls": {"name": one_of(*SAFE_SYSCTLS), "value": anything},
}

_CONTAINER_SECURITY: Fields = {
    **_CONFINEMENT,
    "allowPrivilegeEscalation": one_of(False),
    "capabilities": {"add": adds_harmless, "drop": drops_all},
    "privileged": one_of(False),
    "procMount": one_of("Default"),
    "readOnlyRootFilesystem": anything,
}

# Without `host`: a handler that names one makes the kubelet call any address for the author.
_HANDLERS: Fields = {
    **_all("exec", "grpc", "sleep"),
    "httpGet": _all("httpHeaders", "path", "port", "scheme"),
    "tcpSocket": _all("port"),
}

_PROBE: Fields = {
    **_HANDLERS,
    **_all(
        "failureThreshold", "initialDelaySeconds", "periodSeconds", "successThreshold",
        "terminationGracePeriodSeconds", "timeoutSeconds",
    ),
}  # fmt: skip

CONTAINER: Fields = {
    **_all(
        "args", "command", "env", "envFrom", "image", "imagePullPolicy", "name", "resizePolicy",
        "resources", "restartPolicy", "stdin", "stdinOnce", "terminationMessagePath",
        "terminationMessagePolicy", "tty", "workingDir",
    ),
    "lifecycle": {"postStart": _HANDLERS, "preStop": _HANDLERS, "stopSignal": anything},
    "livenessProbe": _PROBE,
    "ports": _all("containerPort", "name", "protocol"),
    "readinessProbe": _PROBE,
    "securityContext": _CONTAINER_SECURITY,
    "startupProbe": _PROBE,
    "volumeMounts": _all("mountPath", "name", "readOnly", "recursiveReadOnly", "subPath",
                         "subPathExpr"),
}  # fmt: skip

VOLUME: Fields = {
    **_all("configMap", "downwardAPI", "emptyDir", "name", "persistentVolumeClaim", "secret"),
    # Without a data source, which would copy any volume of the namespace.
    "ephemeral": {
        "volumeClaimTemplate": {
            "metadata": anything,
            "spec": _all("accessModes", "resources", "storageClassName", "volumeMode"),
        }
    },
    # Without the tokens and certificates of the service account.
    "projected": {
        "defaultMode": anything,
        "sources": _all("configMap", "downwardAPI", "secret"),
    },
}

POD: Fields = {
    **_all(
        "affinity", "dnsConfig", "dnsPolicy", "enableServiceLinks", "hostAliases", "hostname",
        "imagePullSecrets", "nodeSelector", "preemptionPolicy", "priorityClassName",
        "readinessGates", "resources", "restartPolicy", "runtimeClassName", "schedulerName",
        "setHostnameAsFQDN", "shareProcessNamespace", "subdomain", "terminationGracePeriodSeconds",
        "tolerations", "topologySpreadConstraints",
    ),
    "containers": CONTAINER,
    "initContainers": CONTAINER,
    "securityContext": _POD_SECURITY,
    "volumes": VOLUME,
}  # fmt: skip

NEVER_REMOVED = frozenset(
    {
        "allowPrivilegeEscalation", "capabilities", "drop", "runAsNonRoot", "seccompProfile",
        "securityContext", "type",
    }
)  # fmt: skip
"""Fields that the standard demands. A null would remove them from what the operator sets."""
