"""The engine process: confines itself, then loads one model and computes batches.

It reads its policy before anything else is imported, since libraries start threads and a sandbox
covers the calling thread alone. Started by `slipway_core.engines.engine`; not meant to be run by
hand.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys

import msgspec

from slipway_core.engines.confinement.confine import confine
from slipway_core.engines.confinement.kernel import die_with_parent
from slipway_core.engines.confinement.policy import Policy
from slipway_core.engines.frames import pack_frame, receive_frame
from slipway_core.observability.logging import configure_logging

NICENESS = 5
"""Computing yields to the server, whose work on a response takes microseconds."""
_SIGNALS_OF_SERVER = (signal.SIGINT, signal.SIGTERM)


def main() -> None:
    """Serve the inherited sockets until the server closes them."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--fd", type=int, required=True, help="connection of the main thread")
    arguments.add_argument("--lane-fds", type=int, nargs="*", default=[])
    arguments.add_argument("--server-pid", type=int, required=True)
    arguments.add_argument("--log-level", default="info")
    options = arguments.parse_args()
    configure_logging(options.log_level)
    _tie_to_server(options.server_pid)
    os.nice(NICENESS)
    # A server that exits while a batch is computed does not wait for the reply.
    with (
        socket.socket(fileno=options.fd) as connection,
        contextlib.suppress(BrokenPipeError, ConnectionResetError),
    ):
        lanes = [socket.socket(fileno=descriptor) for descriptor in options.lane_fds]
        if not _is_confined(connection):
            return
        from slipway_core.engines.serving import serve

        serve(connection, lanes)


def _is_confined(connection: socket.socket) -> bool:
    """Do what the first message says; return whether the engine may go on."""
    body = receive_frame(connection)
    if body is None:
        return False
    policy = msgspec.msgpack.decode(body, type=Policy)
    confined = confine(policy)
    connection.sendall(pack_frame(msgspec.msgpack.encode(confined)))
    return confined.active or not policy.required


def _tie_to_server(server_pid: int) -> None:
    """Ignore SIGINT and SIGTERM, which the server handles, and get killed when the server dies."""
    # By a handler, which programs that a model starts do not inherit, and processes give up.
    for number in _SIGNALS_OF_SERVER:
        signal.signal(number, lambda *_: None)
    os.register_at_fork(
        before=_block_signals, after_in_parent=_unblock_signals, after_in_child=_restore_signals
    )
    if sys.platform == "linux":
        die_with_parent()
        if os.getppid() != server_pid:
            sys.exit("the server that started this engine is gone")


def _block_signals() -> None:
    """Keep signals to a new process from being ignored before it has started."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS_OF_SERVER)


def _unblock_signals() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS_OF_SERVER)


def _restore_signals() -> None:
    for number in _SIGNALS_OF_SERVER:
        signal.signal(number, signal.SIG_DFL)
    _unblock_signals()


if __name__ == "__main__":
    main()
