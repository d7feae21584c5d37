"""The single hierarchy of errors that users of Slipway see.

Each error has a `code` (a CamelCase word, the same in HTTP bodies, log lines, metric labels and
condition reasons), an HTTP status, and whether a retry can help. The edges translate it: the
inference server to a response, the batch worker to a retry or to the error of an item. Messages are
written for users: they state the violated rule and the remedy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

MAX_FIELD_CHARACTERS = 256
MAX_RULE_CHARACTERS = 1_000


@dataclass(frozen=True)
class FieldError:
    """A problem with one field of a request; `field` is a path such as `inputs.3.input_text`."""

    field: str
    message: str


class SlipwayError(Exception):
    """Base class of all errors whose message is written for users."""

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
        """The stable name of this error: the name of its class."""
        return type(self).__name__


# The request is wrong


class InvalidInput(SlipwayError):
    """The model does not accept a request or a batch item; `errors` names the fields."""

    http_status = 422

    @classmethod
    def at(cls, field: str, message: str) -> InvalidInput:
        """Return an error about a single field. Of names and values from a client it repeats no
        more than MAX_FIELD_CHARACTERS and MAX_RULE_CHARACTERS.
        """
        field, message = field[:MAX_FIELD_CHARACTERS], message[:MAX_RULE_CHARACTERS]
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
    """The body of the request did not arrive in time."""

    http_status = 408
    retryable = True


class HostNotAllowed(SlipwayError):
    """The request was sent to a name that this server does not serve."""

    http_status = 421


class OriginNotAllowed(SlipwayError):
    """A page of another site sent the request from a browser."""

    http_status = 403


class UnknownModel(SlipwayError):
    """The path names a model that this server does not serve."""

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
    """An Idempotency-Key was reused with a different request."""

    http_status = 409


class RetryRefused(SlipwayError):
    """The failed items of this job cannot be computed again."""

    http_status = 409


class WebhookRefused(SlipwayError):
    """This installation must not call the webhook URL."""

    http_status = 422


# The service cannot serve the request


class QueueFull(SlipwayError):
    http_status = 429
    retryable = True


class TooManyStreams(SlipwayError):
    """The limit of uploads, result streams, progress streams or connections is reached."""

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


class SchemaMismatch(StoreUnavailable):
    """The database was not migrated to this release, or its role lacks rights on the tables."""


class QueueUnavailable(SlipwayError):
    http_status = 503
    retryable = True


class InsufficientStorage(SlipwayError):
    """Too much work waits, or a disk is almost full: no more is accepted for now."""

    http_status = 507
    retryable = True


class InternalError(SlipwayError):
    """An unexpected failure; the log has the cause under the id of the request."""


class EngineCrashed(SlipwayError):
    """The engine process died while it computed this input alone."""

    http_status = 500


class PredictionFailed(SlipwayError):
    """The model raised an exception for this input alone."""

    http_status = 500


class WorkerCrashed(SlipwayError):
    """Computing this input failed too often, or its workers were lost, the last time alone."""

    http_status = 500


# The model cannot be loaded: these stop a service at start


class ModelError(SlipwayError):
    """Base class of the errors of fetching, verifying and loading a model."""


class ModelAddressInvalid(ModelError):
    """The URI of the model is malformed, or its scheme needs an extra that is not installed."""


class ModelNotFound(ModelError):
    """Nothing exists at the URI of the model."""


class ModelAccessDenied(ModelError):
    """The URI of the model needs credentials that Slipway does not have."""


class ModelDownloadFailed(ModelError):
    retryable = True


class ModelIntegrityError(ModelError):
    """The package does not have the configured sha256."""


class ModelInvalid(ModelError):
    """Slipway cannot serve the package, or its slipway.yaml is invalid."""


class PickleRefused(ModelError):
    """Loading the weights would run code from the package."""


class SandboxRefused(ModelError):
    """The model's code cannot be confined as the settings say, or asks for more than they grant."""


class ModelLoadFailed(ModelError):
    """The runtime could not load the package."""


class InvalidSettings(SlipwayError):
    """A configured setting, port or folder cannot be used."""
