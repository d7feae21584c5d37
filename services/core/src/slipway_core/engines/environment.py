"""The environment variables of an engine process."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

# The engine runs the model's own code, which must not see secrets of the server: it gets what the
# libraries below it read, and nothing else.
PASSED_ON = frozenset(
    {
        "HF_DATASETS_OFFLINE",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HF_HUB_OFFLINE",
        "LANG",
        "LANGUAGE",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "LOGNAME",
        "PATH",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONFAULTHANDLER",
        "PYTHONHASHSEED",
        "PYTHONHOME",
        "PYTHONIOENCODING",
        "PYTHONMALLOC",
        "PYTHONOPTIMIZE",
        "PYTHONPATH",
        "PYTHONUNBUFFERED",
        "PYTHONUTF8",
        "PYTHONWARNINGS",
        "TRANSFORMERS_OFFLINE",
        "TZ",
        "TZDIR",
        "USER",
        "VIRTUAL_ENV",
    }
)
PASSED_ON_PREFIXES = (
    "ATEN_", "BLIS_", "CUBLAS_", "CUDA_", "CUDNN_", "DNNL_", "GLIBC_", "GOMP_", "HIP_", "HSA_",
    "KMP_", "LC_", "MALLOC_", "MKL_", "MODEL_", "NCCL_", "NUMEXPR_", "NVIDIA_", "OMP_", "ONEDNN_",
    "OPENBLAS_", "PYTORCH_", "RAYON_", "ROCM_", "ROCR_", "TOKENIZERS_", "TORCH", "TRITON_",
)  # fmt: skip
"""MODEL_ is for variables that the author of a python model has chosen."""
NETWORK_VARIABLES = frozenset(
    name
    for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE")
    for name in (proxy, proxy.lower())
)
_SECRET = re.compile(r"(^|_)(API_?KEY|KEY|TOKEN|SECRET|PASS|PASSWORD|PASSWD|CREDENTIALS?)(_|$)")

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
    # Without a name, libraries look for that of the user in files that a sandbox closes.
    "LOGNAME": "slipway",
}


def engine_environment(
    inherited: Mapping[str, str], threads: int, scratch: Path, *, network: bool = False
) -> dict[str, str]:
    """Return the environment of a process that computes on `threads` threads.

    Tuning variables of the libraries below torch are set unless `inherited` has them. Temporary
    files, caches and what belongs to the user's home go to the folder `scratch`.
    """
    passed_on = {
        name: value for name, value in inherited.items() if _is_passed_on(name, network=network)
    }
    if "PYTHONPATH" in passed_on:  # the engine leaves the server's current folder
        entries = filter(None, passed_on["PYTHONPATH"].split(os.pathsep))
        passed_on["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, entries))
    return {
        **_LIBRARY_VARIABLES,
        **passed_on,
        "OMP_NUM_THREADS": str(threads),
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
    }


def _is_passed_on(name: str, *, network: bool) -> bool:
    if name in PASSED_ON or (network and name in NETWORK_VARIABLES):
        return True
    return name.startswith(PASSED_ON_PREFIXES) and not _SECRET.search(name.upper())
