"""Listeners by the name of an event."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any

Listener = Callable[[Any], object]

_running: set[asyncio.Task[Any]] = set()


class Emitter:
    """What can be listened to.

    A listener that is given twice hears twice, and each removal takes one of the two. One that raises
    keeps no other from hearing: the event loop's exception handler is told. One that is a coroutine
    function runs as a task of its own.
    """

    def __init__(self) -> None:
        # Never changed but replaced, so who is told meanwhile is told.
        self._listeners: tuple[tuple[str, Listener], ...] = ()

    def _on(self, name: str, listener: Listener) -> Callable[[], None]:
        """Hears an event from now on; what it returns ends that. Each subclass says of which events."""
        mine = (name, listener)
        self._listeners = (*self._listeners, mine)

        def stop() -> None:
            self._listeners = tuple(each for each in self._listeners if each is not mine)

        return stop

    def off(self, name: str, listener: Listener) -> None:
        """Ends a listener; of one that was given several times, the last."""
        for each in reversed(self._listeners):
            if each == (name, listener):
                self._listeners = tuple(other for other in self._listeners if other is not each)
                return

    def emit(self, name: str, argument: Any) -> None:
        """For the library itself."""
        for each, listener in self._listeners:
            if each == name:
                call(listener, argument)

    def hears(self, name: str) -> bool:
        """Whether anybody listens."""
        return any(each == name for each, _ in self._listeners)


def call(listener: Callable[..., object], *arguments: Any) -> None:
    """Calls what belongs to the program."""
    try:
        result = listener(*arguments)
    except Exception as error:
        told(error, listener)
    else:
        if inspect.iscoroutine(result):
            _begin(result, listener)


def told(error: BaseException, where: object) -> None:
    """Tells the event loop what nobody waits for."""
    asyncio.get_running_loop().call_exception_handler(
        {"message": f"herenow: an exception in {where!r}", "exception": error}
    )


def _begin(work: Coroutine[Any, Any, Any], listener: object) -> None:
    task = asyncio.get_running_loop().create_task(work)
    # The loop itself keeps tasks only weakly.
    _running.add(task)

    def done(task: asyncio.Task[Any]) -> None:
        _running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            told(error, listener)

    task.add_done_callback(done)
