"""The one hierarchy of errors that leave Slipway.

Each error has a `code` (a CamelCase word that is the same in HTTP bodies, log lines, metric labels
and condition reasons), the HTTP status it maps to, and whether trying again can help. Edges
translate: the HTTP services to `application/problem+json`, the batch worker to a retry or an item's
error. Messages are written for the caller: they state the rule that was broken and the remedy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FieldError:
    """One thing wrong with a request: `field` is a path such as `inputs.3.input_text`."""

    field: str
    message: str


class SlipwayError(Exception):
    """Root of all errors whose message is meant for a caller."""

    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        errors: tuple[FieldError, ...] = (),
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.errors = errors
        self.retry_after_seconds = retry_after_seconds

    @property
    def code(self) -> str:
        """The stable name of this kind of error: the name of its class."""
        return type(self).__name__


# What the caller sent


class InvalidInput(SlipwayError):
    """A request or an item of a batch is not what the model takes; `errors` names the fields."""

    http_status = 422

    @classmethod
    def at(cls, field: str, message: str) -> InvalidInput:
        """An error about a single field, whose message is also the whole message."""
        return cls(f"`{field}` {message}", errors=(FieldError(field, message),))


class MalformedBody(SlipwayError):
    http_status = 400


class UnsupportedMediaType(SlipwayError):
    http_status = 415


class PayloadTooLarge(SlipwayError):
    http_status = 413


class HeadersTooLarge(SlipwayError):
    http_status = 431


class RequestTimeout(SlipwayError):
    """The request's body did not arrive in time."""

    http_status = 408
    retryable = True


class UnknownModel(SlipwayError):
    """The path names a model that is not served here."""

    http_status = 404


class UnknownModality(SlipwayError):
    """The path names a modality that this model does not serve."""

    http_status = 404


class RouteNotFound(SlipwayError):
    http_status = 404


class MethodNotAllowed(SlipwayError):
    http_status = 405


class TaskNotFound(SlipwayError):
    http_status = 404


class IdempotencyConflict(SlipwayError):
    """An Idempotency-Key was used again with another request."""

    http_status = 409


class WebhookRefused(SlipwayError):
    """The webhook address is not one that this installation may call."""

    http_status = 422


# What the service cannot do at the moment


class QueueFull(SlipwayError):
    http_status = 429
    retryable = True


class TooManyStreams(SlipwayError):
    """Uploads, result streams and progress streams are bounded together."""

    http_status = 429
    retryable = True


class DeadlineExceeded(SlipwayError):
    http_status = 504
    retryable = True


class Draining(SlipwayError):
    http_status = 503
    retryable = True

    def __init__(
        self, message: str = "this server is shutting down; send the request again"
    ) -> None:
        super().__init__(message)


class ModelNotReady(SlipwayError):
    http_status = 503
    retryable = True


class StoreUnavailable(SlipwayError):
    http_status = 503
    retryable = True


class QueueUnavailable(SlipwayError):
    http_status = 503
    retryable = True


class InternalError(SlipwayError):
    """Something failed that should not have; the log has the reason under the request's id."""


class EngineCrashed(SlipwayError):
    """The engine process died while it computed this very input, alone."""

    http_status = 500


class PredictionFailed(SlipwayError):
    """The model raised an error for this very input, alone."""

    http_status = 500


class WorkerCrashed(SlipwayError):
    """A batch worker died each time it computed this very input, at the end alone."""

    http_status = 500


# What is wrong with a model package; these stop a service at start


class ModelError(SlipwayError):
    """Root of the errors of finding, verifying and loading a model."""


class ModelAddressInvalid(ModelError):
    """The URI of the model cannot be read, or needs an extra that is not installed."""


class ModelNotFound(ModelError):
    """There is nothing at the URI of the model."""


class ModelAccessDenied(ModelError):
    """The URI of the model needs credentials that Slipway does not have."""


class ModelDownloadFailed(ModelError):
    retryable = True


class ModelIntegrityError(ModelError):
    """The package does not have the sha256 that was asked for."""


class ModelInvalid(ModelError):
    """The package or its slipway.yaml is not what Slipway can serve."""


class PickleRefused(ModelError):
    """Loading the weights would run code from the package."""


class ModelLoadFailed(ModelError):
    """The package was read but the runtime could not load it."""


class InvalidSettings(SlipwayError):
    """A setting, a port or a folder that was configured cannot be used."""


class EmbeddedServerFailed(SlipwayError):
    """PostgreSQL or Valkey from the wheels could not be started."""
