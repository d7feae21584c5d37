"""Run a service and restart it when its source files change: entry point of the development images.

The installed packages are copied to /tmp/sources first, so that the packages there are complete
when single files are synchronised. A service that exits is started again at the next change,
because an error in the code must not restart the pod.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

SOURCES = Path("/tmp/sources")  # noqa: S108 - a volume of the pod
MODULE = os.environ["SLIPWAY_DEV_MODULE"]
PAUSE_SECONDS = 0.5
STOP_SECONDS = 10


def seed() -> None:
    """Copy the installed packages of Slipway to the source folder."""
    for package in Path(sysconfig.get_path("purelib")).glob("slipway_*"):
        if package.is_dir() and not package.name.endswith(".dist-info"):
            shutil.copytree(package, SOURCES / package.name, dirs_exist_ok=True)


def state() -> dict[Path, int]:
    """Return the modification time of each source file, in nanoseconds."""
    return {path: path.stat().st_mtime_ns for path in SOURCES.rglob("*.py")}


def stop(service: subprocess.Popen[bytes]) -> None:
    """Terminate the service, and kill it if it does not exit in time."""
    service.terminate()
    try:
        service.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        service.kill()
        service.wait()


def main() -> int:
    """Run the service until SIGTERM, which is passed on to it, and return its exit status."""
    seed()
    stopping = False

    def on_term(*_: object) -> None:
        nonlocal stopping
        stopping = True
        service.terminate()

    command = [sys.executable, "-m", MODULE]
    service = subprocess.Popen(command)  # noqa: S603 - our own module
    signal.signal(signal.SIGTERM, on_term)
    seen = state()
    while not stopping:
        time.sleep(PAUSE_SECONDS)
        now = state()
        if now != seen and not stopping:
            seen = now
            sys.stderr.write("a source file changed: restarting\n")
            stop(service)
            service = subprocess.Popen(command)  # noqa: S603 - our own module
    return service.wait()


if __name__ == "__main__":
    sys.exit(main())
