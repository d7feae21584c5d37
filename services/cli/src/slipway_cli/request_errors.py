"""Errors of requests to a Slipway service, with messages for people."""

from __future__ import annotations

from typing import Any


class RequestFailed(Exception):
    """Base class of the errors of the client.

    problem: the problem document of the service; empty if it sent none.
    """

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
        """Return the lines to show: the message, then the fields that it does not mention."""
        fields = [
            f"  {error.get('field')}: {error.get('message')}"
            for error in self.problem.get("errors") or []
            if str(error.get("message")) not in self.message
        ]
        code = f" [{self.problem['code']}]" if "code" in self.problem else ""
        return [f"{self.message}{code}", *fields]


class RequestRefused(RequestFailed):
    """The service rejected the request, and would reject it again."""


class ServiceUnavailable(RequestFailed):
    """The service cannot be reached or is overloaded; a retry can help."""
