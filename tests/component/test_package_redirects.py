"""Redirects of downloads never leave encryption, at no hop."""

from __future__ import annotations

import datetime
import ipaddress
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.component.test_package_http import archive
from tests.fixtures.model_server import ModelServer

from slipway_core.errors import ModelDownloadFailed, ModelError
from slipway_core.package.limits import Limits
from slipway_core.package.resolve import resolve_package

QUICK = Limits(backoff_seconds=0.01, max_fruitless_attempts=1)
Start = Callable[[str], ModelServer]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a key and a self-signed certificate for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "slipway test")])
    today = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def start(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Return a function that starts a server of a scheme, whose certificate is trusted."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    servers: list[ModelServer] = []

    def start_one(scheme: str) -> ModelServer:
        server = ModelServer()
        server.content = archive(1000)
        if scheme == "https":
            server.use_tls(certificate)
        server.start()
        servers.append(server)
        return server

    yield start_one
    for server in servers:
        server.stop()


@pytest.mark.parametrize(
    ("schemes", "is_accepted"),
    [
        (["http", "https"], True),
        (["https", "https"], True),
        (["http", "http"], True),
        (["https", "http"], False),
        (["https", "http", "https"], False),
        (["http", "https", "http"], False),
    ],
)
def test_http_never_follows_https(
    start: Start, tmp_path: Path, schemes: list[str], is_accepted: bool
) -> None:
    servers = [start(scheme) for scheme in schemes]
    for server, target in itertools.pairwise(servers):
        server.redirect_to = target.url

    if is_accepted:
        resolve_package(servers[0].url, cache=tmp_path, limits=QUICK)
    else:
        with pytest.raises(ModelDownloadFailed, match="redirects from https to http"):
            resolve_package(servers[0].url, cache=tmp_path, limits=QUICK)
        first_http = schemes.index("http", schemes.index("https"))
        assert servers[first_http].requests == []


def test_a_hub_with_https_never_redirects_to_http(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, target = start("https"), start("http")
    hub.redirect_to = target.url
    monkeypatch.setenv("HF_ENDPOINT", hub.url.removesuffix("/models/mine.tar.gz"))

    with pytest.raises(ModelError, match="redirects from https to http"):
        resolve_package("hf://acme/mine@main", cache=tmp_path, limits=QUICK)

    assert target.requests == []
