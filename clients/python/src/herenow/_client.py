"""One client.

What we want of which channel and user, and the questions that wait for their answers. Whatever is
wanted is said again on every new connection.
"""

from __future__ import annotations

import asyncio
import random as chance
import ssl as tls
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Final, Literal, overload

from ._channel import Channel
from ._credentials import TokenSource
from ._emitter import Listener
from ._error import HerenowError
from ._json import copied, frame_of
from ._link import MAX_RETRY_MS, Link, Saying, Settings
from ._promise import Settle, Waiting, deferred
from ._requests import Requests
from ._shapes import State
from ._user import User, Users


class Unset:
    """What was not given: None means something."""


UNSET: Final = Unset()


class Client(Link):
    """A client that connects, stays connected, and comes back. Made by :func:`connect`.

    It belongs to one event loop, and none of it may be called from another thread.
    """

    def __init__(self, url: str, settings: Settings, *, lazy: bool = True) -> None:
        super().__init__(url, settings)
        self._users = Users(self)
        self._channels: dict[str, Channel] = {}
        self._requests = Requests(self)
        # Promises that nobody has kept or broken yet.
        self._open: dict[Settle, None] = {}
        self.is_away = False
        """Whether we said that we are away, everywhere."""
        # Who waits until that is known.
        self._turning = Waiting()
        self._is_woken = False
        if not lazy:
            self._wake()

    async def __aenter__(self) -> Client:
        self._wake()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def channel(self, name: str) -> Channel:
        """The channel of that name; always the same object."""
        if name not in self._channels:
            self._channels[name] = Channel(self, name)
        return self._channels[name]

    def user(self, name: str) -> User:
        """A user, whose status may be watched; always the same object."""
        return self._users.get(name)

    @overload
    def on(self, name: Literal["state"], listener: Callable[[State], object]) -> Callable[[], None]: ...
    @overload
    def on(self, name: Literal["error"], listener: Callable[[HerenowError], object]) -> Callable[[], None]: ...
    @overload
    def on(self, name: Literal["frame"], listener: Callable[[dict[str, str]], object]) -> Callable[[], None]: ...
    def on(self, name: str, listener: Listener) -> Callable[[], None]:
        """Hears an event from now on; what it returns ends that.

        ``state``, with the new one. ``error``, with what no promise tells. ``frame``, with every message as it
        is: ``{"direction": "in", "text": …}``.
        """
        return self._on(name, listener)

    def status(
        self,
        *,
        busy: bool | Unset = UNSET,
        invisible: bool | Unset = UNSET,
        wait_time: int | Unset | None = UNSET,
        text: str | Unset | None = UNSET,
    ) -> asyncio.Future[None]:
        """Sets our own status: what is absent stays as it is. ``wait_time`` is in minutes; None: nobody knows."""
        said = {"busy": busy, "invisible": invisible, "waitTime": wait_time, "text": text}
        patch = {name: value for name, value in said.items() if not isinstance(value, Unset)}
        return self.ask_for({"type": "setStatus", **patch}, lambda _: None)

    def away(self, away: bool = True) -> asyncio.Future[None]:
        """Says that we are away from here, or back: in all channels, and in our status.

        Others see us as away while that is so of all our connections and devices.
        """

        def make(settle: Settle) -> None:
            self.is_away = away
            self._turning.add(settle)
            self._say_away()

        return self.promise(make, wanted=True)

    def get_channels(self, user: str | None = None) -> asyncio.Future[list[str]]:
        """All channels that a user is a member of, by name; our own without a name."""
        future, settle = deferred()
        names: list[str] = []

        def ask(after: str | None) -> None:
            frame = frame_of("getChannels", user=user, after=after)
            self.ask_for(frame, lambda answer: answer).add_done_callback(heard)

        def heard(page: asyncio.Future[Any]) -> None:
            error = page.exception()
            if isinstance(error, HerenowError):
                return settle(error)
            names.extend(page.result()["channels"])
            after = page.result().get("next")
            if after is None:
                settle(None, names)
            elif not future.done():
                ask(after)

        ask(None)
        return future

    def request(self, frame: Mapping[str, Any]) -> asyncio.Future[dict[str, Any]]:
        """Any frame of the protocol that has an answer, which is what comes back; its ``id`` is given here.

        It is said again after a lost connection, until it is answered. What is no question is done in the
        order of the calls.
        """
        return self.ask_for(frame, lambda answer: answer)

    def connect(self) -> None:
        """Dials now, where it waits to be told so (``auto_connect``) or for something to be wanted."""
        self.retry()

    def check(self) -> asyncio.Future[bool]:
        """Finds out now whether the connection carries; dials again if not.

        For a program that knows that the network or the machine was away. False if it did not carry: then
        it is on its way.
        """
        self.nudge()
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def done(answer: asyncio.Future[Any]) -> None:
            if not future.done():
                future.set_result(not answer.cancelled() and not answer.exception() and bool(answer.result()))

        asyncio.ensure_future(self.ask({"type": "heartbeat"})).add_done_callback(done)
        return future

    def close(self) -> asyncio.Future[None]:
        """Says goodbye for good: leaves all channels. Whatever is still promised fails with ``closed``.

        It is said at once; what is returned is kept when the broker has heard it, or after half a second.
        """
        self.end(HerenowError("closed", "this client was closed"))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = set(self._tasks)

        def done(task: asyncio.Task[None]) -> None:
            waiting.discard(task)
            if not waiting and not future.done():
                future.set_result(None)

        for task in list(waiting):
            task.add_done_callback(done)
        if not waiting:
            future.set_result(None)
        return future

    # For the rest of the library.

    @property
    def grace_ms(self) -> float:
        """For how long others shall not notice a lost connection, as far as the broker allows."""
        most = self.welcome.limits.grace_ms if self.welcome else self._settings.grace_ms
        return min(self._settings.grace_ms, most)

    @property
    def return_ms(self) -> float:
        """How long it may take after a restart until all are back."""
        return max(self.grace_ms, self._settings.max_retry_ms or MAX_RETRY_MS)

    def ask_for(self, frame: Mapping[str, Any], read: Callable[[Any], Any]) -> asyncio.Future[Any]:
        """Asks until it is answered. ``read``: what of the answer is wanted."""

        def make(settle: Settle) -> Callable[[], None] | None:
            def answered(error: HerenowError | None, answer: Any = None, /) -> None:
                settle(error, None if error else read(answer))

            return self._requests.add(copied(frame, "frame"), answered)

        return self.promise(make)

    def promise(
        self, make: Callable[[Settle], Callable[[], None] | None], *, wanted: bool = False
    ) -> asyncio.Future[Any]:
        """A future that is always settled: by its maker, by the time, or by the end of the client.

        ``make`` may return what to do if time runs out, or nobody waits any more. ``wanted``: whether it goes on
        being wanted then.
        """
        timeout_ms = self._settings.timeout_ms
        future, tell = deferred()
        cancel: Callable[[], None] | None = None

        def over() -> None:
            if cancel:
                cancel()
            cause = self.state.error
            why = f": {cause.message}" if cause else ""
            error = HerenowError("timeout", f"no answer in {timeout_ms} ms{why}", wanted=wanted)
            error.__cause__ = cause
            settle(error)

        timer = asyncio.get_running_loop().call_later(timeout_ms / 1_000, over)

        def settle(error: HerenowError | None, answer: Any = None, /) -> None:
            timer.cancel()
            self._open.pop(settle, None)
            tell(error, answer)

        def done(future: asyncio.Future[Any]) -> None:
            # Nobody waits any more. What is wanted goes on being wanted.
            if future.cancelled():
                timer.cancel()
                self._open.pop(settle, None)
                if cancel:
                    cancel()

        future.add_done_callback(done)
        self._open[settle] = None
        try:
            if self.state.phase == "closed" and self.state.error:
                raise self.state.error.again()
            cancel = make(settle)
        except HerenowError as error:
            settle(error)
        return future

    def post(self, topic: Hashable, make: Callable[[], list[Saying]], wait_ms: float = 0) -> None:
        """Asks for a turn to say something.

        Without a connection it is nothing: with the next one, all that is wanted is said.
        """
        self._wake()
        super().post(topic, make, wait_ms)

    def _wake(self) -> None:
        if self._state.phase != "idle" or self._is_woken or not self._settings.auto_connect:
            return
        self._is_woken = True
        # Later, so that whoever calls us can listen first.
        asyncio.get_running_loop().call_soon(self._first)

    def _first(self) -> None:
        if self._state.phase == "idle":
            self.retry()

    def _say_away(self) -> None:
        self.post(self._turning, self._away_frames)

    def _away_frames(self) -> list[Saying]:
        for channel in list(self._channels.values()):
            channel._turned(self.is_away)
        turning = self._turning.take()
        return [Saying({"type": "away", "away": self.is_away}, turning.settle, turning.again)]

    def _opened(self) -> None:
        # Before all else: from its first frame on this connection says whether we are away.
        if self.is_away or self._turning:
            self._say_away()
        channels = list(self._channels.values())
        for channel in channels:
            channel._restore()
        for channel in channels:
            channel._watch_again()
        self._users.restore()
        self._requests.say()

    def _interrupted(self) -> None:
        self._users.interrupted()
        for channel in list(self._channels.values()):
            channel._interrupted()

    def _told(self, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind == "status":
            self._users.told(frame)
        elif kind == "removed":
            for name in frame["channels"]:
                if name in self._channels:
                    self._channels[name]._removed(frame["reason"])
            self._users.removed(frame.get("users", ()))
        elif isinstance(name := frame.get("channel"), str) and name in self._channels:
            self._channels[name]._frame(frame)

    def _ended(self, error: HerenowError) -> None:
        self._requests.clear()
        for channel in list(self._channels.values()):
            channel._ended()
        for settle in list(self._open):
            settle(error)


def connect(
    url: str,
    *,
    user: str | None = None,
    token: TokenSource | None = None,
    grace_ms: int = 10_000,
    timeout_ms: int = 10_000,
    first_retry_ms: int = 1_000,
    max_retry_ms: int | None = None,
    lazy: bool = True,
    auto_connect: bool = True,
    ssl: tls.SSLContext | None = None,
    random: Callable[[], float] = chance.random,
) -> Client:
    """A client of the broker at an address.

    It is returned at once; ``async with connect(url) as here`` closes it in the end. The client comes back by
    itself after whatever happens to its connection, and says again what was wanted.

    - ``url``: of the broker's WebSocket, ``wss://HOST/ws``. ``https:`` is as good, and a path of ``/`` means ``/ws``.
    - ``user``: who we are, where the broker runs in open mode. Without it the broker makes up a guest.
    - ``token``: who we are, where it wants tokens. A function, or a coroutine function, is asked for each
      connection, and again before its token expires.
    - ``grace_ms``: for how long others do not notice a lost connection.
    - ``timeout_ms``: after which a promise without an answer fails.
    - ``first_retry_ms``, ``max_retry_ms``: the back-off's first and last bound; 10 s is the last if absent.
    - ``lazy``: dials with the first thing that is wanted, or with ``async with``. False: at once, in a running loop.
    - ``auto_connect``: False dials only when told to ``connect``.
    - ``ssl``: how a ``wss:`` broker's certificate is looked at, where the default does not do.
    - ``random``: instead of ``random.random``.

    Raises :class:`HerenowError` ``invalid_url``.
    """
    settings = Settings(user, token, grace_ms, timeout_ms, first_retry_ms, max_retry_ms, auto_connect, ssl, random)
    return Client(url, settings, lazy=lazy)
