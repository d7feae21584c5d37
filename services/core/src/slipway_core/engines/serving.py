"""Loads one model and computes batches until the server disconnects: the confined engine.

torch is imported here and nowhere else, only by models that use it; its number of threads comes
from OMP_NUM_THREADS. The main thread loads the model and computes batches on all cores. A model
with lanes gets one more thread for each lane, with one core and a connection of its own to the
server: batches on different lanes never wait for each other, while one batch on N cores
synchronises them after each of a hundred operations. The server never uses both at a time.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import sys
import time
from pathlib import Path
from threading import Barrier, Thread

import msgspec
import structlog

from slipway_core.engines import messages
from slipway_core.engines.dropped_messages import DroppedItems
from slipway_core.engines.garbage import freeze_existing_objects
from slipway_core.engines.isolation import run_isolated
from slipway_core.engines.messages import Done, Drop, Load, Loaded, LoadFailed, Run
from slipway_core.engines.placement import PinnedCore, cores_for_threads, pin_team
from slipway_core.errors import EngineCrashed, ModelError, ModelLoadFailed
from slipway_core.errors.foreign_errors import describe_error, writable
from slipway_core.inputs.dropped_items import register_dropped_items
from slipway_core.models.loading import load_model
from slipway_core.models.model import Model, ModelInfo

log = structlog.get_logger("slipway.engine")

LANES_START_TIMEOUT_SECONDS = 60.0
MAX_REASON_CHARACTERS = 10_000


def serve(connection: socket.socket, lanes: list[socket.socket]) -> None:
    """Load the model that the first message names, then reply to each Run with one Done."""
    first = messages.receive_to_engine(connection)
    if not isinstance(first, Load):
        return
    model = _load(connection, lanes, first)
    if model is not None:
        _serve_batches(connection, model)


def _serve_batches(connection: socket.socket, model: Model, core: PinnedCore | None = None) -> None:
    cpu_time = time.thread_time if core else time.process_time
    dropped = DroppedItems(connection)
    register_dropped_items(dropped)
    while isinstance(message := messages.receive_to_engine(connection), Run | Drop):
        if isinstance(message, Drop):  # too late: the batch before it is done
            continue
        dropped.begin(message.items)
        if core:
            core.pin()
        started, cpu_started = time.perf_counter(), cpu_time()
        outcomes = run_isolated(model, message.items)
        seconds, cpu_seconds = time.perf_counter() - started, cpu_time() - cpu_started
        connection.sendall(messages.encode(Done(outcomes, seconds, cpu_seconds)))
        if core:
            core.observe(seconds, cpu_seconds)


def _open_lanes(lanes: list[socket.socket], model: Model, cores: int) -> None:
    """Start a thread on one core for each lane; the calling thread then gets all `cores`."""
    started = Barrier(len(lanes) + 1, timeout=LANES_START_TIMEOUT_SECONDS)
    pinned_cores = cores_for_threads(len(lanes))

    def serve_lane(number: int, lane: socket.socket) -> None:
        try:
            with lane, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                model.use_cores(1)
                core = PinnedCore(pinned_cores[number]) if pinned_cores else None
                started.wait()
                _serve_batches(lane, model, core)
        except BaseException:
            # The server notices only the end of the process, and then starts another engine.
            log.exception("a lane of the engine failed", code=EngineCrashed.__name__)
            os._exit(1)

    atexit.register(_exit_immediately)
    for number, lane in enumerate(lanes):
        Thread(target=serve_lane, args=(number, lane), name=f"lane-{number}", daemon=True).start()
    started.wait()
    model.use_cores(cores)
    if len(pinned_cores) == cores:
        pin_team(pinned_cores)


def _exit_immediately() -> None:
    """End the process while lanes may be inside a forward pass: nobody waits for its result."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _load(connection: socket.socket, lanes: list[socket.socket], request: Load) -> Model | None:
    started = time.perf_counter()
    try:
        model = load_model(Path(request.folder), request.manifest, request.options)
        info = model.describe()
        info = msgspec.structs.replace(info, lanes=max(1, min(info.lanes, len(lanes))))
        used = lanes[: info.lanes] if info.lanes > 1 else []
        for unused in lanes[len(used) :]:
            unused.close()
        if used:
            _open_lanes(used, model, info.threads)
    except ModelError as error:
        _refuse(connection, error.code, error.message)
        return None
    except BaseException as error:  # a model may call sys.exit()
        reason = f"the model could not be loaded: {describe_error(error)}"
        log.error("the model could not be loaded", code=ModelLoadFailed.__name__, cause=reason)
        _refuse(connection, ModelLoadFailed.__name__, reason)
        return None
    freeze_existing_objects()
    info = msgspec.structs.replace(info, load_seconds=round(time.perf_counter() - started, 3))
    _log_loaded(info)
    connection.sendall(messages.encode(Loaded(info)))
    return model


def _refuse(connection: socket.socket, code: str, reason: str) -> None:
    reply = LoadFailed(writable(code), writable(reason[:MAX_REASON_CHARACTERS]))
    connection.sendall(messages.encode(reply))


def _log_loaded(info: ModelInfo) -> None:
    log.info(
        "model loaded",
        model=info.manifest.name,
        version=info.manifest.version,
        digest=info.manifest.digest,
        device=info.device,
        precision=info.precision,
        precision_reason=info.precision_reason,
        threads=info.threads,
        lanes=info.lanes,
        load_seconds=info.load_seconds,
    )
