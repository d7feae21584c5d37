"""The doctor looks for Secrets wherever the operator does."""

from __future__ import annotations

from slipway_cli.cluster import checks
from slipway_operator.policy import references


def test_the_doctor_examines_the_secrets_that_the_operator_judges() -> None:
    assert references.SECRET_FIELDS | {"credentialsSecretRef"} == checks.SECRET_FIELDS
