"""Settings of the inference server: those shared with the batch worker, and its own."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

from pydantic import Field, field_validator

from slipway_core.settings import PayloadLogging, ServiceSettings

MEBIBYTE = 1024 * 1024
Network = IPv4Network | IPv6Network


class InferenceSettings(ServiceSettings):
    """Settings of one inference server. Every size and time has a limit."""

    host: str = Field(
        "127.0.0.1",
        description="Address to listen on. *: all addresses, of IPv4 and IPv6, as in a container.",
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0: any free port.")

    request_timeout_seconds: float = Field(
        30, gt=0, le=3600, description="Deadline of a request without X-Request-Timeout-Ms."
    )
    max_request_timeout_seconds: float = Field(
        300, gt=0, le=3600, description="Maximum deadline that X-Request-Timeout-Ms may set."
    )
    max_queue_tokens: int = Field(
        65536, ge=1, description="Maximum tokens (for tensors: rows) in the queue."
    )
    max_items_per_request: int = Field(
        1024, ge=1, le=100_000, description="Maximum inputs (tabular rows) per realtime request."
    )

    max_header_bytes: int = Field(
        32 * 1024,
        ge=1024,
        le=MEBIBYTE,
        description="Maximum bytes of the request line and headers.",
    )
    max_body_bytes: int = Field(
        16 * MEBIBYTE, ge=1024, description="Maximum bytes of a JSON or form body."
    )
    max_stream_bytes: int = Field(
        4096 * MEBIBYTE, ge=1024, description="Maximum bytes of an NDJSON body."
    )
    max_line_bytes: int = Field(
        8 * MEBIBYTE, ge=1024, description="Maximum bytes of one line of an NDJSON body."
    )
    max_buffered_bytes: int = Field(
        256 * MEBIBYTE,
        ge=1024,
        description="Maximum bytes that all requests in progress hold in memory.",
    )
    body_idle_seconds: float = Field(
        20, gt=0, le=600, description="Maximum time without progress in a body or a response."
    )
    header_timeout_seconds: float = Field(
        20, gt=0, le=600, description="Timeout for receiving the headers of a request."
    )
    keep_alive_seconds: int = Field(
        75, ge=1, le=3600, description="Time after which an idle connection is closed."
    )
    max_connections: int = Field(
        2048, ge=1, description="Maximum open connections; idle ones are closed for new ones."
    )
    max_streams: int = Field(
        64, ge=1, description="Maximum open streams of each kind: uploads, results and progress."
    )
    max_streams_per_caller: int = Field(
        32, ge=1, description="Maximum open streams of each kind per client address."
    )
    progress_stream_seconds: float = Field(
        300,
        gt=0,
        le=86_400,
        description="Time after which a progress stream ends; clients reconnect.",
    )
    trusted_proxies: str = Field(
        "",
        description="Networks, comma-separated, of proxies whose X-Forwarded-For names the client.",
    )

    drain_delay_seconds: float = Field(
        5, ge=0, le=600, description="Time after SIGTERM for which new requests are accepted."
    )
    drain_timeout_seconds: int = Field(
        30, ge=1, le=3600, description="Maximum time after the delay to complete accepted requests."
    )

    payload_logging: PayloadLogging = Field(
        "all",
        description="Payloads in the prediction log: none, the input, or all (with predictions).",
    )
    log_queue_rows: int = Field(
        10_000, ge=1, description="Maximum rows of the prediction log that wait for the database."
    )
    allowed_hosts: str = Field(
        "",
        description="Names, comma-separated, under which browsers may reach the server; its IP "
        "addresses need none. Empty: any name, and pages of any origin may send requests.",
    )
    cors_origins: str = Field(
        "",
        description="Origins, comma-separated, whose pages may send requests and read responses, "
        "such as https://app.example.com; * for all. Empty: none.",
    )
    access_log: bool = Field(True, description="Write a log line for each request.")
    root_path: str = Field(
        "", pattern=r"^(/[A-Za-z0-9._~-]+)*$", description="Path prefix of the server at a proxy."
    )

    @property
    def trusted_networks(self) -> tuple[Network, ...]:
        """The networks of `trusted_proxies`."""
        return _parse_networks(self.trusted_proxies)

    @field_validator("trusted_proxies")
    @classmethod
    def _check_networks(cls, value: str) -> str:
        _parse_networks(value)
        return value


def _parse_networks(text: str) -> tuple[Network, ...]:
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
