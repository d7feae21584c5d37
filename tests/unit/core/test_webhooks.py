"""Signatures and pauses of webhook calls, and the addresses that they may use."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from pydantic import SecretStr

from slipway_core.errors import WebhookRefused
from slipway_core.maintenance.webhooks.address_policy import WebhookAddressPolicy, is_public
from slipway_core.maintenance.webhooks.sender import MAX_ATTEMPTS, pause_after, sign
from slipway_core.settings import ServiceSettings


def policy(**settings: str) -> WebhookAddressPolicy:
    return WebhookAddressPolicy(ServiceSettings(webhook_secret=SecretStr("secret"), **settings))  # type: ignore[arg-type]


def test_a_receiver_can_check_the_signature() -> None:
    fields = dict(part.split("=") for part in sign("secret", 1_700_000_000, b"{}").split(","))
    expected = hmac.new(b"secret", b"1700000000.{}", hashlib.sha256).hexdigest()
    assert fields == {"t": "1700000000", "v1": expected}


def test_attempts_are_limited_and_spread_over_a_day() -> None:
    pauses = [pause_after(attempt) for attempt in range(1, MAX_ATTEMPTS)]
    seconds = [pause.total_seconds() for pause in pauses if pause is not None]
    assert len(seconds) == MAX_ATTEMPTS - 1
    assert seconds == sorted(seconds)
    assert 12 * 3600 < sum(seconds) < 26 * 3600
    assert pause_after(MAX_ATTEMPTS) is None


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0",  # noqa: S104
        "100.64.0.1", "224.0.0.1", "::1", "fe80::1%eth0", "fd00::1", "::", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
        # Translated, embedded or tunnelled IPv4 addresses, public and private ones.
        "64:ff9b::808:808", "64:ff9b:1::a00:1", "64:ff9b:1::808:808", "::10.0.0.1", "::8.8.8.8",
        "::ffff:0:7f00:1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2002:808:808::", "192.88.99.1",
        # Site-local, documentation, segment routing, protocol assignments, discard-only.
        "fec0::1", "2001:db8::1", "3fff::1", "5f00::1", "2001:20::1", "100::1", "192.0.2.1",
        # Metadata of clouds and the hosts of their virtual machines.
        "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254",
        "240.0.0.1", "255.255.255.255", "198.18.0.1",
    ],
)  # fmt: skip
def test_private_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "168.63.129.17", "2606:4700:4700::1111", "2a00:1450::1", "::ffff:1.1.1.1"],
)
def test_internet_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/", "file:///etc/passwd", "/relative", "http://", "https://user:pw@1.1.1.1/",
        "http://1.1.1.1:99999/", "http://1.1.1.1/ a", "http://1.1.1.1/\r\nX: y", "http://[1.1.1.1/",
        "https://1.1.1.1/" + "x" * 2_000, "", "gopher://1.1.1.1", "http://a..b/",
        "http://" + "\u00e4" * 63 + ".example/",
    ],
)  # fmt: skip
async def test_invalid_urls_are_rejected(url: str) -> None:
    with pytest.raises(WebhookRefused) as caught:
        await policy().resolve(url)
    assert caught.value.errors[0].field == "webhook_url"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://localhost:8000/x"]
)
async def test_private_hosts_are_rejected_in_any_notation(url: str) -> None:
    with pytest.raises(WebhookRefused):
        await policy().resolve(url)


async def test_the_error_does_not_tell_which_internal_names_resolve() -> None:
    texts = []
    for host in ("localhost", "no-such-host.invalid"):
        with pytest.raises(WebhookRefused) as caught:
            await policy().resolve(f"http://{host}/")
        texts.append(caught.value.message.replace(host, "HOST"))
    assert texts[0] == texts[1]


async def test_an_allowed_host_may_be_private() -> None:
    target = await policy(webhook_allowed_hosts="other, LocalHost").resolve("http://localhost:81/x")
    assert (target.host, target.port) == ("localhost", 81)
    assert target.address in ("127.0.0.1", "::1")


async def test_the_checked_address_is_the_one_that_is_called() -> None:
    target = await policy().resolve("https://1.1.1.1/hook?a=b")
    assert (target.address, target.port) == ("1.1.1.1", 443)


async def test_an_internationalised_host_is_called_by_its_ascii_name() -> None:
    target = await policy(webhook_allowed_hosts="a..b").resolve("http://\uff11.1.1.1/")
    assert target.host == "1.1.1.1"
    with pytest.raises(WebhookRefused, match="xn--lcalhost-n4a"):
        await policy().resolve("http://l\u00f6calhost.invalid/")
