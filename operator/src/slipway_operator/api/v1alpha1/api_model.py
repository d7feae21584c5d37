"""The common ground of all API models: camelCase names, no unknown keys, immutable instances.

Rules that a field's type cannot express are written in CEL. The API server then rejects an invalid
object when it is applied and says what to do; there is no webhook.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    """Base class of the API models. Their docstrings become descriptions in the CRD."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


def reject_unless(*rules: tuple[str, str]) -> dict[str, Any]:
    """Return a `json_schema_extra` with CEL rules, each with its message when it is false."""
    return {
        "x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]
    }
