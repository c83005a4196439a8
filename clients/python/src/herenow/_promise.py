"""Futures that nobody has to look at when what they tell is no news."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from ._error import HerenowError


class Settle(Protocol):
    """Tells one who waits how it ended."""

    def __call__(self, error: HerenowError | None, answer: Any = None, /) -> None: ...


def deferred() -> tuple[asyncio.Future[Any], Settle]:
    """A future and what settles it.

    Whoever awaits it learns every error. Where nobody does, what is over, or goes on being wanted, is
    no "exception that was never retrieved".
    """
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def settle(error: HerenowError | None, answer: Any = None, /) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(answer)
            return
        future.set_exception(error.again())
        if error.wanted or error.code in ("superseded", "closed"):
            # Looked at: what is wanted no longer is so by a decision of the program's own.
            future.exception()

    return future, settle


class Taken:
    """Those who wait for something that is being said: until it is answered, or was not heard."""

    def __init__(self, waiting: Waiting, some: list[Settle]) -> None:
        self._waiting = waiting
        self._some = some

    def settle(self, error: HerenowError | None, answer: Any = None, /) -> None:
        """The broker has answered."""
        for settle in self._some:
            settle(error, answer)

    def again(self) -> None:
        """It was not heard: they wait on."""
        for settle in self._some:
            self._waiting.add(settle)


class Waiting:
    """Those who wait for something, in the order in which they came."""

    def __init__(self) -> None:
        self._all: dict[Settle, None] = {}

    def __len__(self) -> int:
        return len(self._all)

    def add(self, settle: Settle) -> Callable[[], None]:
        """One more; what it returns ends the waiting."""
        self._all[settle] = None
        return lambda: self.discard(settle)

    def discard(self, settle: Settle) -> None:
        """Waits no longer."""
        self._all.pop(settle, None)

    def take(self) -> Taken:
        """All of them; nobody waits here afterwards."""
        some = list(self._all)
        self._all.clear()
        return Taken(self, some)

    def list(self) -> list[Settle]:
        """All of them, who go on waiting."""
        return list(self._all)

    def settle(self, error: HerenowError | None) -> None:
        """Tells all of them."""
        self.take().settle(error)
