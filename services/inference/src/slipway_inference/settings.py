"""Settings of the inference server: what it shares with the batch worker, and its own limits."""

from __future__ import annotations

from pydantic import Field

from slipway_core.settings import PayloadLogging, ServiceSettings

MEBIBYTE = 1024 * 1024


class InferenceSettings(ServiceSettings):
    """What the inference server is told by its environment. Every size and time has a bound."""

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 in a container.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")

    request_timeout_seconds: float = Field(
        30, gt=0, le=3600, description="Deadline of a request that brings no X-Request-Timeout-Ms."
    )
    max_request_timeout_seconds: float = Field(
        300, gt=0, le=3600, description="Longest deadline that a request may ask for."
    )
    max_queue_tokens: int = Field(
        65536, ge=1, description="Tokens (for tensors: rows) that may wait for an engine."
    )
    max_items_per_request: int = Field(
        1024, ge=1, le=100_000, description="Most inputs (tabular rows) of one realtime request."
    )

    max_header_bytes: int = Field(
        32 * 1024, ge=1024, le=MEBIBYTE, description="Most bytes of a request's line and headers."
    )
    max_body_bytes: int = Field(
        16 * MEBIBYTE, ge=1024, description="Most bytes of a body that is read as one JSON or form."
    )
    max_stream_bytes: int = Field(
        4096 * MEBIBYTE, ge=1024, description="Most bytes of an NDJSON body."
    )
    max_line_bytes: int = Field(
        8 * MEBIBYTE, ge=1024, description="Most bytes of one line of an NDJSON body."
    )
    max_buffered_bytes: int = Field(
        256 * MEBIBYTE, ge=1024, description="Most bytes of all bodies in memory at one time."
    )
    body_idle_seconds: float = Field(
        20, gt=0, le=600, description="Longest pause in a body, and in reading an answer."
    )
    header_timeout_seconds: float = Field(
        20, gt=0, le=600, description="Longest time in which a request's headers arrive."
    )
    keep_alive_seconds: int = Field(
        75, ge=1, le=3600, description="How long an idle connection stays open."
    )
    max_connections: int = Field(2048, ge=1, description="Most connections at one time.")
    max_streams: int = Field(
        64, ge=1, description="Most NDJSON uploads, result and progress streams at one time."
    )

    drain_delay_seconds: float = Field(
        5, ge=0, le=600, description="After SIGTERM: how long new requests are still answered."
    )
    drain_timeout_seconds: int = Field(
        30, ge=1, le=3600, description="After the delay: how long accepted requests may take."
    )

    payload_logging: PayloadLogging = Field(
        "all",
        description="What the prediction log keeps: none, the input, or all (with predictions).",
    )
    log_queue_rows: int = Field(
        10_000, ge=1, description="Rows of the prediction log that may wait for the database."
    )
    access_log: bool = Field(True, description="Write a log line for each request.")
    root_path: str = Field(
        "", pattern=r"^(/[A-Za-z0-9._~-]+)*$", description="Path under which a proxy shows us."
    )
