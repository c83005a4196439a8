"""What was refused, or what went wrong, as one type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class HerenowError(Exception):
    """What was refused, or what went wrong.

    ``code`` is the broker's (see "Errors" in the protocol) or one of the library's own:

    - ``invalid_url``: the address is none that a WebSocket could have
    - ``invalid_attributes``, ``invalid_frame``: JSON cannot say them
    - ``unreachable``: nobody answers at the address, or the connection broke
    - ``unsupported_protocol``: something answers, but no broker that speaks version 1
    - ``token_failed``: the program's own function brought no token
    - ``kicked``: a back end ended all connections of the user
    - ``violation``: the broker closed because of what we sent
    - ``timeout``: no answer in time
    - ``too_many_requests``: too many requests wait for their answer
    - ``too_many_changes``: whoever iterates over changes is too far behind
    - ``superseded``: overtaken by another call before the broker had answered
    - ``closed``: the client was closed

    Over HTTP also ``unexpected``: an answer that is none of a herenow broker.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        field: str | None = None,
        retry_after_ms: float | None = None,
        close_code: int | None = None,
        status: int | None = None,
        wanted: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        """For programs."""
        self.message = message
        """A sentence for people."""
        self.field = field
        """The field that is at fault."""
        self.retry_after_ms = retry_after_ms
        """When to try again, in milliseconds from then."""
        self.close_code = close_code
        """The WebSocket's Close code, if a Close told it."""
        self.status = status
        """The status of an answer over HTTP."""
        self.wanted = wanted
        """Whether what had no answer in time goes on being wanted."""

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    def again(self) -> HerenowError:
        """The same for one more who waits: each raises its own, with its own traceback."""
        other = HerenowError(
            self.code,
            self.message,
            field=self.field,
            retry_after_ms=self.retry_after_ms,
            close_code=self.close_code,
            status=self.status,
            wanted=self.wanted,
        )
        other.__cause__ = self.__cause__
        return other

    @classmethod
    def of_frame(cls, frame: Mapping[str, Any], close_code: int | None = None) -> HerenowError:
        """What an ``error`` frame of the broker says."""
        return cls(
            str(frame.get("code", "internal")),
            str(frame.get("message", "")),
            field=frame.get("field"),
            retry_after_ms=frame.get("retryAfterMs"),
            close_code=close_code,
        )


def superseded() -> HerenowError:
    """Another call of the program's own has overtaken it."""
    return HerenowError("superseded", "overtaken by another call")


def not_joined() -> HerenowError:
    """There is no member of ours to do this with."""
    return HerenowError("not_joined", "join first")
