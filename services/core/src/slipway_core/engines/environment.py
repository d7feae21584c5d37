"""The environment variables of an engine process."""

from __future__ import annotations

from collections.abc import Mapping

# What the server needs for its own work; an address of a package may carry a password.
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

_COMPUTING = {
    # libgomp's threads wait for each other's next product by spinning, for milliseconds. Beside
    # another program that computes, such as a batch worker, that made engines ten times slower; not
    # spinning at all costs a fifth on an idle machine. This is some microseconds.
    "GOMP_SPINCOUNT": "10000",
    # glibc keeps what a thread allocates in heaps of 64 MiB, and gives back one that becomes empty.
    # Where tensors just did not fit into a lane's first heap, each layer mapped another one, met
    # all its pages anew, and interrupted the other core to forget them: a tenth of the speed.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
    "MALLOC_TOP_PAD_": str(64 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 1024 * 1024),
}


def computing_environment(inherited: Mapping[str, str], threads: int) -> dict[str, str]:
    """The environment of a process that computes on so many threads: what the libraries below torch
    want, unless `inherited` has it already.
    """
    return {**_COMPUTING, **inherited, "OMP_NUM_THREADS": str(threads)}
