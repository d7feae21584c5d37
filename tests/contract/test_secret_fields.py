"""The doctor looks for Secrets wherever the operator does."""

from __future__ import annotations

from slipway_cli.cluster import checks
from slipway_operator.policy import references


def test_the_doctor_examines_the_secrets_that_the_operator_judges() -> None:
    assert checks.SECRET_FIELDS == references.SECRET_FIELDS | {"credentialsSecretRef"}
