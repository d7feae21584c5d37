"""The environment variables of an engine process."""

from __future__ import annotations

from collections.abc import Mapping

# The engine runs the model's own code, which must not see secrets of the server. The URI of a
# package may carry a password.
SECRET_VARIABLES = frozenset(
    {
        "SLIPWAY_DATABASE_URL",
        "SLIPWAY_REDIS_URL",
        "SLIPWAY_WEBHOOK_SECRET",
        "SLIPWAY_SECRETS_DIR",
        "SLIPWAY_MODEL_URI",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "HF_TOKEN",
    }
)

_LIBRARY_VARIABLES = {
    # libgomp's threads spin for milliseconds while they wait for the next product. Beside another
    # busy program, such as a batch worker, that made engines ten times slower; not spinning at all
    # costs a fifth on an idle machine. This value is some microseconds.
    "GOMP_SPINCOUNT": "10000",
    # glibc allocates for each thread in heaps of 64 MiB and returns one that becomes empty. When
    # tensors just did not fit into a lane's first heap, each layer mapped another one, faulted in
    # all its pages again, and interrupted the other core to unmap it: a tenth of the speed.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
    "MALLOC_TOP_PAD_": str(64 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 1024 * 1024),
}


def engine_environment(inherited: Mapping[str, str], threads: int) -> dict[str, str]:
    """Return the environment of a process that computes on `threads` threads.

    Secrets are removed. Tuning variables of the libraries below torch are set unless `inherited`
    has them.
    """
    passed_on = {name: value for name, value in inherited.items() if name not in SECRET_VARIABLES}
    return {**_LIBRARY_VARIABLES, **passed_on, "OMP_NUM_THREADS": str(threads)}
