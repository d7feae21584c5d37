"""The objects that the operator builds, compared with YAML that a reviewer can read."""

from __future__ import annotations

import pytest
from tests.fixtures.golden import CompareGolden
from tests.fixtures.modeldeployments import GoldenCase, golden_cases

from slipway_operator.generate.plain_yaml import to_yaml


@pytest.mark.parametrize("case", golden_cases(), ids=lambda case: case.folder.name)
def test_builds_the_objects_of_the_golden_file(
    case: GoldenCase, compare_golden: CompareGolden
) -> None:
    compare_golden(case.folder / "objects.yaml", to_yaml(*case.objects))
