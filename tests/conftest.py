"""Plugins with the shared fixtures, one per server, program or kind of model."""

from hypothesis import settings

# Examples may take longer on a busy machine; pytest-timeout ends tests that hang.
settings.register_profile("slipway", deadline=None)
settings.load_profile("slipway")

pytest_plugins = [
    "tests.fixtures.apiserver",
    "tests.fixtures.exported_models",
    "tests.fixtures.golden",
    "tests.fixtures.chart",
    "tests.fixtures.inference_app",
    "tests.fixtures.hub_server",
    "tests.fixtures.logs",
    "tests.fixtures.model_server",
    "tests.fixtures.models",
    "tests.fixtures.operator_process",
    "tests.fixtures.optional_kinds",
    "tests.fixtures.local_platform",
    "tests.fixtures.postgres",
    "tests.fixtures.s3_server",
    "tests.fixtures.services",
    "tests.fixtures.valkey",
    "tests.fixtures.batch",  # these after those that they build on
    "tests.fixtures.pgbouncer",
]
