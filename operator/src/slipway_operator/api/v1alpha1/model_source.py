"""`spec.model`: the model package, its verification, and its cache."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from slipway_operator.api.v1alpha1.api_model import ApiModel, reject_unless
from slipway_operator.api.v1alpha1.quantities import Quantity

ObjectName = Annotated[str, Field(min_length=1, max_length=253)]


class SecretReference(ApiModel):
    """A Secret in the namespace of the ModelDeployment."""

    name: ObjectName = Field(description="Name of the Secret.")


class ModelCache(ApiModel):
    """Cache of the downloaded package."""

    model_config = ConfigDict(
        json_schema_extra=reject_unless(
            (
                "!(has(self.claimName) && has(self.sizeLimit))",
                "`sizeLimit` bounds the pods' own cache and has no effect on a claim: give either "
                "`claimName` or `sizeLimit`",
            )
        )
    )

    claim_name: ObjectName | None = Field(
        None,
        description="PersistentVolumeClaim that stores packages, so that only the first pod "
        "downloads; it must be ReadWriteMany when pods run on several nodes. Without it each pod "
        "downloads into a volume of its own.",
    )
    size_limit: Quantity | None = Field(
        None, description="Maximum size of a pod's own cache, such as 10Gi; unlimited by default."
    )


class ModelSource(ApiModel):
    """The model package to serve."""

    uri: str = Field(
        min_length=1,
        max_length=2048,
        description="Address of the package: package:// (part of the image), pvc://claim/path, "
        "file:// (a path inside the container), http://, https://, s3:// or hf://.",
        json_schema_extra=reject_unless(
            (
                "self.matches('^(file|pvc|https?|s3|hf|package)://.+')",
                "`uri` must start with package://, pvc://, file://, http://, https://, s3:// or "
                "hf://",
            ),
            (
                # hf://NAME@REVISION is the form of models without an organisation.
                "self.startsWith('hf://') ? !self.matches('^hf://[^/@]*:[^/]*@') : "
                "!self.matches('^[a-z0-9]+://[^/]*@')",
                "`uri` must not carry credentials: put them into a Secret and name it in "
                "`credentialsSecretRef`",
            ),
            (
                "!self.startsWith('pvc://') || self.matches('^pvc://[a-z0-9][-a-z0-9.]*/.+')",
                "a pvc:// `uri` names a claim and a path inside it: pvc://claim/path",
            ),
            (
                "!self.matches('(^|/)[.][.](/|$)')",
                "`uri` must not contain '..': name the path itself",
            ),
        ),
    )
    sha256: str | None = Field(
        None,
        max_length=64,
        description="sha256 that the package must have, 64 lower-case hexadecimal digits. A pod "
        "refuses to serve anything else. Without it any content of `uri` is served.",
        json_schema_extra=reject_unless(
            (
                "self.matches('^[0-9a-f]{64}$')",
                "`sha256` must be 64 lower-case hexadecimal digits, as `sha256sum` prints them",
            )
        ),
    )
    version: str | None = Field(
        None,
        min_length=1,
        max_length=63,
        description="Version that responses report; the package's own version by default.",
    )
    credentials_secret_ref: SecretReference | None = Field(
        None,
        description="Secret for the download, mounted as files into the download container only: "
        "key `token` for hf://, key `credentials` (an AWS credentials file) for s3://. It needs "
        'the label `serving.slipway.dev/credentials: "true"`.',
    )
    cache: ModelCache = Field(ModelCache(), description="Cache of the downloaded package.")
    allow_pickle: bool = Field(
        False,
        description="Load pickled weights (.bin, .pth). Loading them runs code from the package: "
        "allow it for packages that you trust as much as an image.",
    )

    @property
    def claim(self) -> str:
        """Claim in a pvc:// URI; empty for other URIs."""
        scheme, _, rest = self.uri.partition("://")
        return rest.partition("/")[0] if scheme == "pvc" else ""
