"""One WebSocket that comes back.

Dialling, saying who we are, back-off, heartbeats, pacing, noticing when the other side is gone, and
which answer belongs to what. It knows nothing of channels and members.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
import ssl
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from ._address import socket_address, with_user
from ._credentials import Credentials, TokenSource
from ._emitter import Emitter, told
from ._error import HerenowError
from ._json import said
from ._outbox import Outbox
from ._promise import Settle, deferred
from ._shapes import State, Welcome
from ._socket import LOST, Socket

_log = logging.getLogger("herenow")

_STEADY_S = 10.0
"""A connection that lasted this long was a good one: the next failure is a first failure."""
_ANSWER_S = 10.0
"""A broker that says nothing for this long while we dial is not there."""
_PROBE_S = 4.0
"""A broker that says nothing for this long, when asked, is gone."""
_SILENCE_S = 10.0
"""A connection that was silent for so long is asked for a sign of life."""
_LATE_S = 1.0
"""A timer that comes so much later says that the program or the machine stood still, and not the broker."""
_HEARTBEAT = '{"type":"heartbeat","id":"hb"}'
"""With an id, since the answer proves that the connection carries both ways."""
_OUR_FAULT = (1002, 1003, 1007, 1009, 4008)
"""Close codes that say: this client is wrong, and coming back will not mend it."""
_KICKED = 4003
_TOKEN_EXPIRED = 4102
_SECRET = re.compile(r'("token":")[^"]*')
BACK_SOON = 4200
"""The code with which we close what we come back to: a loss, so that the grace of our joins begins."""
MAX_RETRY_MS = 30_000
"""No client waits longer between two attempts, unless it was told to."""
_DEFAULT_RETRY_MS = 10_000


@dataclass(slots=True, eq=False)
class Saying:
    """A frame that has an answer."""

    frame: dict[str, Any]
    settle: Settle
    again: Callable[[], None] | None = None
    """It was not heard, since it came too fast or the connection was lost. In the first case its topic has
    another turn."""


@dataclass(slots=True, eq=False)
class _Asked:
    saying: Saying
    topic: Hashable
    make: Callable[[], list[Saying]]


@dataclass(slots=True, eq=False)
class _Attempt:
    """What may become a connection, or has. Its task owns its socket from the first to the last."""

    task: asyncio.Task[None] | None = None
    socket: Socket | None = None
    code: int | None = None
    """With which we say goodbye; None as long as we do not."""


@dataclass(slots=True)
class Settings:
    """How a client was told to behave."""

    user: str | None = None
    token: TokenSource | None = None
    grace_ms: int = 10_000
    timeout_ms: int = 10_000
    first_retry_ms: int = 1_000
    max_retry_ms: int | None = None
    auto_connect: bool = True
    ssl: ssl.SSLContext | None = None
    random: Callable[[], float] = field(default=random.random)


def retry_delay(failures: int, first_ms: float, max_ms: float, roll: Callable[[], float]) -> float:
    """How long to wait before dialling again, in milliseconds.

    Full jitter, so that thousands who lost the same broker do not come back in step (AWS Architecture
    Blog, "Exponential Backoff And Jitter", 2015).
    """
    return roll() * min(max_ms, first_ms * 2.0 ** min(failures, 32))


class Link(Emitter):
    """The connection of a client."""

    def __init__(self, url: str, settings: Settings) -> None:
        super().__init__()
        self._url = socket_address(url)
        self._settings = settings
        self._credentials = Credentials(settings.token, self)
        self.welcome: Welcome | None = None
        """The last ``welcome`` of the broker: its limits, its heartbeat, its version."""
        self.error: HerenowError | None = None
        """What went wrong last, until the broker is reached again."""
        self.sight: str | None = None
        self._state = State("idle")
        self._clock_offset_ms = 0.0
        self._attempt: _Attempt | None = None
        # Attempts that are over and still say goodbye.
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._opened_at = 0.0
        # The `goaway` of this connection; the `error` frame of it that no frame asked for: why it will
        # be closed; why it was not let in at all.
        self._goaway: dict[str, Any] | None = None
        self._refused: dict[str, Any] | None = None
        self._retry_timer: asyncio.TimerHandle | None = None
        self._answer_timer: asyncio.TimerHandle | None = None
        self._beat_timer: asyncio.TimerHandle | None = None
        self._outbox: Outbox | None = None
        # Frames of this connection that wait for their answer.
        self._pending: dict[int, _Asked] = {}
        self._last_id = 0
        # When a heartbeat was sent last, and the broker said something.
        self._beat_at = 0.0
        self._heard_at = 0.0
        # How often a heartbeat is wanted: as often as the quickest wants it of the channels we joined.
        self._interval_s = 0.0

    @property
    def state(self) -> State:
        """How the connection stands."""
        return self._state

    @property
    def me(self) -> str:
        """Who we are, as the broker says; empty before the first welcome."""
        return self.welcome.user if self.welcome else ""

    @property
    def is_open(self) -> bool:
        """Whether there is a connection now."""
        return self._state.phase == "open"

    def now(self) -> float:
        """The broker's wall clock, in milliseconds since 1970."""
        return time.time() * 1_000 + self._clock_offset_ms

    def send(self, text: str) -> bool:
        """Sends a line as a person types it, shorthand or JSON. False without a connection."""
        if self._outbox:
            self._outbox.post(object(), lambda: [text])
        return self.is_open

    def retry(self) -> None:
        """Dials now instead of later, unless there is a connection or an attempt already.

        Also after the broker said not to come back; after ``close`` it does nothing.
        """
        if self._attempt is None and not self._is_over:
            self._dial()

    @property
    def _is_over(self) -> bool:
        error = self._state.error
        return error is not None and error.code == "closed"

    # What the client makes of its link: it is told when that opens, is lost, or ends, and what was heard.

    def _opened(self) -> None:
        raise NotImplementedError

    def _interrupted(self) -> None:
        raise NotImplementedError

    def _ended(self, error: HerenowError) -> None:
        raise NotImplementedError

    def _told(self, frame: dict[str, Any]) -> None:
        raise NotImplementedError

    # For the rest of the library.

    def emit(self, name: str, argument: Any) -> None:
        """Tells who listens, and the log."""
        if name == "error":
            self.error = argument
        if _log.isEnabledFor(logging.DEBUG):
            text = argument["text"] if name == "frame" else str(argument)
            _log.debug("%s %s", name, _SECRET.sub(r"\1…", text))
        super().emit(name, argument)

    def nudge(self) -> None:
        """The network is back, perhaps: finds out now rather than later."""
        if self.is_open:
            self._beat()
        elif self._state.phase == "waiting":
            self._dial()

    def end(self, error: HerenowError) -> None:
        """Says goodbye."""
        self._credentials.end()
        self._hang_up(1000)
        self._set(State("closed", error=error))

    def post(self, topic: Hashable, make: Callable[[], list[Saying]], wait_ms: float = 0) -> None:
        """Asks for a turn to say something.

        Without a connection it is nothing: with the next one, all that is wanted is said.
        """
        if self._outbox:
            self._outbox.post(topic, lambda: self._frames(topic, make), wait_ms)

    def ask(self, frame: dict[str, Any]) -> Awaitable[Any]:
        """Says a frame on this connection; None where that ends before the answer."""
        future, settle = deferred()

        def again() -> None:
            if not self.is_open:
                settle(None)

        if self.is_open:
            self.post(object(), lambda: [Saying(frame, settle, again)])
        else:
            settle(None)
        return future

    def _frames(self, topic: Hashable, make: Callable[[], list[Saying]]) -> list[str]:
        texts = []
        most = self.welcome.limits.message_bytes if self.welcome else 0
        for saying in make():
            self._last_id += 1
            text = said({"id": self._last_id, **saying.frame})
            if len(text.encode()) > most:
                # Sent, it would be the end of the connection for good, and of all that is wanted of it.
                saying.settle(HerenowError("too_large", f"a frame must be at most {most} bytes"))
                continue
            self._pending[self._last_id] = _Asked(saying, topic, make)
            texts.append(text)
        return texts

    def _dial(self) -> None:
        self._hang_up(BACK_SOON)
        wait_ms = self._credentials.wait_ms
        if wait_ms > 0:
            return self._wait(wait_ms, self._state.error)
        attempt = self._attempt = _Attempt()
        self._goaway = self._refused = None
        self._set(State("connecting"))
        # Whoever was told may have closed us.
        if attempt is not self._attempt:
            return
        self._expect_answer(_ANSWER_S)
        task = attempt.task = asyncio.get_running_loop().create_task(self._run(attempt))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, attempt: _Attempt) -> None:
        """A connection from its first byte to its last."""
        try:
            socket = await self._connected()
            attempt.socket = socket
            # What is heard may be the end of it.
            while attempt is self._attempt and (text := await socket.receive()) is not None:
                self._hear(text)
            if attempt is self._attempt:
                self._lost(socket.close_code, socket.close_reason)
        except asyncio.CancelledError:
            # By us, or with the program: then this is the end, and nobody shall wait for our return.
            if attempt is self._attempt:
                self.end(HerenowError("closed", "the program ended"))
                raise
        except Exception as error:
            if attempt.socket:
                # No refusal, but a fault of this library or of a broker: loud, and begun anew.
                told(error, self)
            if attempt is self._attempt:
                self._failed(error)
        finally:
            if attempt.socket:
                await attempt.socket.goodbye(1000 if attempt.code is None else attempt.code)

    async def _connected(self) -> Socket:
        settings = self._settings
        token = None if settings.token is None else await self._credentials.take()
        # A guest's name is made up by the broker, and stays the same on the next connection.
        user = settings.user or self.me
        url = with_user(self._url, user) if token is None and user else self._url
        return await Socket.open(url, token, ssl_context=settings.ssl)

    def _failed(self, error: Exception) -> None:
        """It did not become a connection, or something in it could not be read."""
        self._hang_up(BACK_SOON)
        if isinstance(error, HerenowError):
            return self._retry_later(error)
        unreachable = HerenowError("unreachable", f"no herenow broker answers here: {error or type(error).__name__}")
        unreachable.__cause__ = error
        self._retry_later(unreachable)

    def _hear(self, text: str) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        if self._answer_timer:
            self._answer_timer.cancel()
            self._answer_timer = None
        if _log.isEnabledFor(logging.DEBUG) or self.hears("frame"):
            self.emit("frame", {"direction": "in", "text": text})
        frame = _parsed(text)
        kind = frame.get("type")
        is_error = kind == "error"
        if is_error and (not self.is_open or frame.get("code") == "token_expired"):
            self._refused = frame
        if not self.is_open:
            if not is_error:
                self._begin(frame)
        elif is_error or kind == "ok" or kind == "result":
            self._answered(frame)
        elif kind == "heartbeatDue":
            self._beat()
        elif kind == "goaway":
            self._goaway = frame
        elif kind:
            self._told(frame)

    def _begin(self, frame: dict[str, Any]) -> None:
        """The first frame of a connection."""
        if frame.get("type") != "welcome" or frame.get("protocol") != 1:
            what = frame.get("protocol", "something else")
            return self.end(HerenowError("unsupported_protocol", f"this client needs herenow protocol 1, not {what}"))
        self.welcome = welcome = Welcome.of(frame)
        limits = welcome.limits
        self._outbox = Outbox(limits.frames_per_second, limits.frames_burst, self._write)
        self.sight = welcome.sight
        self._clock_offset_ms = welcome.now - time.time() * 1_000
        self._interval_s = welcome.heartbeat.interval_ms / 1_000
        self._opened_at = self._beat_at = self._heard_at
        self._state = State("open")
        self._rest()
        self._credentials.accepted()
        self._opened()
        if self.is_open:
            self._set(self._state)

    def _write(self, text: str) -> None:
        attempt = self._attempt
        if attempt is None or attempt.socket is None:
            return
        if not attempt.socket.send(text):
            # Later: who writes has not finished.
            asyncio.get_running_loop().call_soon(self._gave_up, attempt)
        if _log.isEnabledFor(logging.DEBUG) or self.hears("frame"):
            self.emit("frame", {"direction": "out", "text": text})

    def _gave_up(self, attempt: _Attempt) -> None:
        if attempt is self._attempt:
            self._lost(LOST, "it takes nothing")

    def _answered(self, frame: dict[str, Any]) -> None:
        interval_ms = (frame.get("heartbeat") or {}).get("intervalMs")
        if interval_ms and interval_ms / 1_000 < self._interval_s:
            self._interval_s = interval_ms / 1_000
            self._beat()
        # At once: a snapshot that was made by the fresh token may be right behind its ok.
        self.sight = frame.get("sight", self.sight)
        error = HerenowError.of_frame(frame) if frame.get("type") == "error" else None
        asked = self._pending.pop(frame["id"], None) if isinstance(frame.get("id"), int) else None
        if asked and error and error.code == "rate_limited":
            if asked.saying.again:
                asked.saying.again()
            self.post(asked.topic, asked.make, frame.get("retryAfterMs", 1_000))
        elif asked:
            asked.saying.settle(error, frame)
        elif error and error.code == "token_expired" and not self._credentials.warned():
            self.emit("error", error)

    def _beat(self) -> None:
        self._beat_at = asyncio.get_running_loop().time()
        self.send(_HEARTBEAT)
        self._expect_answer(_PROBE_S)
        if self._beat_timer:
            self._beat_timer.cancel()
        self._rest()

    def _rest(self) -> None:
        """Until the next heartbeat: the broker wants one so often, and a dead connection says nothing."""
        loop = asyncio.get_running_loop()
        silent_at = max(self._heard_at, self._beat_at) + _SILENCE_S
        left = min(self._beat_at + self._interval_s, silent_at) - loop.time()
        if left > 0:
            self._beat_timer = loop.call_later(left, self._rest)
        else:
            self._beat()

    def _expect_answer(self, patience: float) -> None:
        if self._answer_timer is None:
            loop = asyncio.get_running_loop()
            due = loop.time() + patience
            self._answer_timer = loop.call_at(due, self._unanswered, due)

    def _unanswered(self, due: float) -> None:
        self._answer_timer = None
        if asyncio.get_running_loop().time() - due > _LATE_S:
            # It was us who stood still: what came meanwhile is not read yet.
            return self._expect_answer(_PROBE_S)
        self._lost(LOST, "no answer")

    def _lost(self, code: int, reason: str) -> None:
        now = asyncio.get_running_loop().time()
        if self.is_open and now - self._opened_at >= _STEADY_S:
            self._failures = 0
        error = self._why(code, reason)
        self._hang_up(BACK_SOON)
        is_refused = code == _TOKEN_EXPIRED or 4000 <= code < 4100
        if code in _OUR_FAULT or (is_refused and not self._credentials.can_mend(code)):
            self.end(error)
        else:
            self._retry_later(error)

    def _why(self, code: int, reason: str) -> HerenowError:
        """Why, if it can be found out."""
        if self._refused:
            return HerenowError.of_frame(self._refused, close_code=code)
        why = (self._goaway or {}).get("reason") or reason or code
        kind = "kicked" if code == _KICKED else "violation" if code in _OUR_FAULT else "unreachable"
        message = f"connection closed: {why}" if self.is_open else "no herenow broker answers here"
        return HerenowError(kind, message, close_code=code)

    def _retry_later(self, error: HerenowError) -> None:
        settings = self._settings
        # A broker that goes has spread its clients over this time already: no jitter, no growth.
        wait_ms = (self._goaway or {}).get("reconnectInMs")
        if wait_ms is None:
            delay = retry_delay(
                self._failures, settings.first_retry_ms, settings.max_retry_ms or _DEFAULT_RETRY_MS, settings.random
            )
            self._failures += 1
            # When a token begins is of no use: the next is another.
            told = 0 if error.field == "token" else error.retry_after_ms or 0
            wait_ms = max(told, self._credentials.wait_ms, delay)
        self._wait(wait_ms, error)

    def _wait(self, wait_ms: float, error: HerenowError | None) -> None:
        self._retry_timer = asyncio.get_running_loop().call_later(wait_ms / 1_000, self._dial)
        self._set(State("waiting", retry_at=time.time() + wait_ms / 1_000, error=error))

    def _hang_up(self, code: int) -> None:
        """Lets go of the socket and of every timer."""
        for timer in (self._retry_timer, self._answer_timer, self._beat_timer):
            if timer:
                timer.cancel()
        self._retry_timer = self._answer_timer = self._beat_timer = None
        if self._outbox:
            self._outbox.close()
            self._outbox = None
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        attempt.code = code
        # Its task says goodbye; one that hangs up on itself does so on its way out.
        if attempt.task and attempt.task is not asyncio.current_task():
            attempt.task.cancel()

    def _set(self, state: State) -> None:
        was_open = self.is_open
        self._state = state
        if was_open and not self.is_open:
            self._unplug()
        error = state.error
        if state.phase == "open":
            self.error = None
        if state.phase == "closed" and error:
            self._ended(error)
        if error and error.code != "closed":
            is_news = state.phase == "closed" or self.error is None or error.code != self.error.code
            self.error = error
            # Told once until the broker is reached, however often we dial.
            if is_news:
                self.emit("error", error)
        self.emit("state", state)

    def _unplug(self) -> None:
        """What was asked on this connection is not answered on any other."""
        self._credentials.lost()
        asked = list(self._pending.values())
        self._pending.clear()
        for each in asked:
            if each.saying.again:
                each.saying.again()
        self._interrupted()


def _parsed(text: str) -> dict[str, Any]:
    """What is in it, if it is a frame."""
    try:
        frame = json.loads(text)
    except ValueError:
        return {}
    return frame if isinstance(frame, dict) else {}
