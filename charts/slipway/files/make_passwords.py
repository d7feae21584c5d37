"""Create the Secrets of the bundled PostgreSQL (one per role) and Valkey, with random passwords.

Runs in a job of the chart and uses only the standard library. Existing Secrets are left unchanged.
The job's service account owns the Secrets, so that they are deleted with the release.
"""

import json
import os
import secrets
import ssl
import urllib.error
import urllib.request
from pathlib import Path

ACCOUNT = Path(os.environ.get("ACCOUNT_FOLDER", "/var/run/secrets/kubernetes.io/serviceaccount"))
NAMESPACE = os.environ["NAMESPACE"]
OWNER = os.environ["OWNER"]
POSTGRESQL_ROLES = {"": "slipway", "-owner": "slipway_owner", "-reader": "slipway_reader"}
"""The roles of PostgreSQL, by the suffix of their Secrets."""


def call(method, path, body=None):
    """Call the API server and return its response, or None when a created object exists already."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    server = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = urllib.request.Request(
        f"https://{server}/api/v1/namespaces/{NAMESPACE}/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}",
            "Content-Type": "application/json",
        },
    )
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    try:
        with urllib.request.urlopen(request, context=trust, timeout=30) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        if error.code == 409 and method == "POST":
            return None
        raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}") from None


def postgresql(name, role, password):
    """Return the contents of the Secret of one role of PostgreSQL."""
    url = f"postgresql://{role}:{password}@{name}.{NAMESPACE}.svc:5432/slipway"
    return {"password": password, "url": url}


def redis(name, password):
    """Return the contents of Valkey's Secret.

    The configuration persists every write and disables eviction: the queue is not a cache.
    """
    settings = ["dir /data", "appendonly yes", "maxmemory-policy noeviction"]
    return {
        "password": password,
        "url": f"redis://:{password}@{name}.{NAMESPACE}.svc:6379/0",
        "valkey.conf": "\n".join([*settings, f"requirepass {password}"]) + "\n",
    }


def create_secret(name, values):
    """Create a Secret unless it exists."""
    owner = call("GET", f"serviceaccounts/{OWNER}")["metadata"]
    reference = {"apiVersion": "v1", "kind": "ServiceAccount"}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "labels": owner["labels"],
            "ownerReferences": [{**reference, "name": owner["name"], "uid": owner["uid"]}],
        },
        "stringData": values,
    }
    created = call("POST", "secrets", secret)
    print(f"secret {name}: {'created' if created else 'unchanged'}", flush=True)


if name := os.environ.get("POSTGRESQL"):
    for suffix, role in POSTGRESQL_ROLES.items():
        create_secret(name + suffix, postgresql(name, role, secrets.token_urlsafe(24)))
if name := os.environ.get("REDIS"):
    create_secret(name, redis(name, secrets.token_urlsafe(24)))
