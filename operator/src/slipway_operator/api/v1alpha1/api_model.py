"""What every part of the API has in common: camelCase names, no unknown keys, no change in place.

A rule that one field's type cannot say is written in CEL, so that the API server refuses a bad
object when it is applied and says what to do; there is no webhook.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class ApiModel(BaseModel):
    """Root of the models that the schema is made from. Docstrings become descriptions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


def reject_unless(*rules: tuple[str, str]) -> dict[str, Any]:
    """Extra schema for `json_schema_extra`: pairs of a CEL rule and its message when false."""
    return {
        "x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]
    }
