"""What can go wrong with a request to a Slipway service, in words for people."""

from __future__ import annotations

from typing import Any


class RequestFailed(Exception):
    """Root of the client's errors; `problem` is the service's problem document, if it sent one."""

    def __init__(
        self,
        message: str,
        *,
        problem: dict[str, Any] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.problem = problem or {}
        self.retry_after_seconds = retry_after_seconds

    def lines(self) -> list[str]:
        """What to show: the message, then the fields that it does not name already."""
        fields = [
            f"  {error.get('field')}: {error.get('message')}"
            for error in self.problem.get("errors") or []
            if str(error.get("message")) not in self.message
        ]
        code = f" [{self.problem['code']}]" if "code" in self.problem else ""
        return [f"{self.message}{code}", *fields]


class RequestRefused(RequestFailed):
    """The service does not do this; the same request will be refused again."""


class ServiceUnavailable(RequestFailed):
    """The service cannot be reached or has no room at the moment; trying later can help."""
