"""Jobs and their results as JSON values."""

from __future__ import annotations

from typing import Any

from slipway_core.store.records import ItemResult, Job
from slipway_inference.prediction.json_value import prediction_value


def progress_value(job: Job) -> dict[str, Any]:
    """Return how far a job is."""
    return {
        "task_id": str(job.id),
        "status": job.state,
        "total": job.total,
        "succeeded": job.succeeded,
        "failed": job.failed,
    }


def job_value(job: Job) -> dict[str, Any]:
    """Return everything about a job except its results."""
    return {
        **progress_value(job),
        "model": job.model,
        "version": job.version,
        "modality": job.modality,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "deadline": job.deadline,
        "reason": job.reason,
    }


def result_value(result: ItemResult) -> dict[str, Any]:
    """Return the prediction or the error of one item."""
    value: dict[str, Any] = {"index": result.index, "attempts": result.attempts}
    if result.error_code is None:
        value["prediction"] = prediction_value(result.prediction, result.embedding)
    else:
        value["error"] = {"code": result.error_code, "message": result.error_message}
    return value
