"""Questions, and what else is asked until it is answered, however many connections that takes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Protocol

from ._error import HerenowError
from ._link import Saying
from ._promise import Settle

_MAX_WAITING = 1_000
"""So many may wait for their answers."""


class Asker(Protocol):
    """Who gives turns to say something."""

    def post(self, topic: Hashable, make: Callable[[], list[Saying]], wait_ms: float = 0) -> None:
        """Asks for a turn."""


@dataclass(slots=True, eq=False)
class _Request:
    frame: dict[str, Any]
    settle: Settle
    due: bool = True
    """Not said yet on this connection."""

    @property
    def is_query(self) -> bool:
        return str(self.frame.get("type", "")).startswith("get")


class Requests:
    """Those that wait for their answers, in the order of the calls."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker
        self._all: dict[_Request, None] = {}

    def add(self, frame: dict[str, Any], settle: Settle) -> Callable[[], None] | None:
        """One more. What it returns says that nobody waits for it any more."""
        if len(self._all) >= _MAX_WAITING:
            settle(HerenowError("too_many_requests", f"{_MAX_WAITING} requests wait already"))
            return None
        request = _Request(frame, settle)
        self._all[request] = None
        self.say()
        return lambda: void(self._end(request))

    def say(self) -> None:
        """Says what was not said yet, one at each turn. What changes something waits for the one before."""
        self._asker.post(self, self._next)

    def clear(self) -> None:
        """Nothing is asked any more."""
        self._all.clear()

    def _next(self) -> list[Saying]:
        is_busy = False
        for request in self._all:
            if request.due and (request.is_query or not is_busy):
                request.due = False
                self.say()
                return [self._saying(request)]
            is_busy = is_busy or not request.is_query
        return []

    def _saying(self, request: _Request) -> Saying:
        def again() -> None:
            request.due = True

        def settle(error: HerenowError | None, answer: Any = None, /) -> None:
            if self._end(request):
                request.settle(error, answer)

        return Saying(request.frame, settle, again)

    def _end(self, request: _Request) -> bool:
        """Whether it was waited for."""
        is_waited = request in self._all
        self._all.pop(request, None)
        self.say()
        return is_waited


def void(_: object) -> None:
    """Nothing, of something."""
