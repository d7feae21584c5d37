"""Make the Secrets of this release's own PostgreSQL and Valkey, those that do not exist yet.

Runs in a job of the chart with nothing but the standard library. A Secret that exists stays as it
is. Each is owned by the job's service account, so that it goes when the release goes.
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


def call(method, path, body=None):
    """One call of the API server: the answer, or None when an object to create exists."""
    server = f"{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
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


def postgresql(name, password):
    """What the server and its clients read."""
    url = f"postgresql://slipway:{password}@{name}.{NAMESPACE}.svc:5432/slipway"
    return {"password": password, "url": url}


def redis(name, password):
    """The same for Valkey. It keeps what it is told and never evicts: the queue is not a cache."""
    settings = ["dir /data", "appendonly yes", "maxmemory-policy noeviction"]
    return {
        "password": password,
        "url": f"redis://:{password}@{name}.{NAMESPACE}.svc:6379/0",
        "valkey.conf": "\n".join([*settings, f"requirepass {password}"]) + "\n",
    }


def make(name, values):
    """Create the Secret unless it exists."""
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
    made = call("POST", "secrets", secret)
    print(f"secret {name}: {'made' if made else 'exists, left as it is'}", flush=True)


for build in (postgresql, redis):
    name = os.environ.get(build.__name__.upper())
    if name:
        make(name, build(name, secrets.token_urlsafe(24)))
