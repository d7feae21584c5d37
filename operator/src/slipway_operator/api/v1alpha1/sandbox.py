"""`spec.runtime.sandbox`: what the model's code may do beside computing."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from slipway_operator.api.v1alpha1.api_model import ApiModel, reject_unless

Paths = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=512)], ...], Field(max_length=16)
]
SandboxMode = Literal["auto", "required", "off"]


class Sandbox(ApiModel):
    """Sandbox of the model's code. A package states in slipway.yaml what it needs; it is refused
    unless all of that is granted here.
    """

    model_config = ConfigDict(
        json_schema_extra=reject_unless(
            *(
                (
                    # A colon separates paths in the environment of a pod.
                    f"!has(self.{field}) || "
                    f"self.{field}.all(path, path.startsWith('/') && !path.contains(':'))",
                    f"`{field}` must hold absolute paths without colons, such as /mnt/tables",
                )
                for field in ("readPaths", "writePaths")
            )
        )
    )

    mode: SandboxMode | None = Field(
        None,
        description="required: pods refuse to serve where the node's kernel cannot confine the "
        "model; auto: there they refuse packages that run code; 'off' (in quotes, since YAML reads "
        "a bare one as false): the package is trusted as much as an image. Default: the "
        "platform's. Where that is required, nothing less is given, and own images, programs and "
        "variables of the server need the platform's permission.",
    )
    network: bool = Field(
        False, description="Let the model use the network, as far as NetworkPolicies do."
    )
    read_paths: Paths = Field(
        (), description="Absolute paths, such as of a mounted volume, that the model may read."
    )
    write_paths: Paths = Field(
        (), description="Absolute paths of folders that the model may write."
    )
