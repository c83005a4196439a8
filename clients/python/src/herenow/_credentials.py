"""Who we are, where the broker wants tokens.

One is fetched for each connection, checked, and renewed before it expires. It never fetches in a
hurry, however the program's function and the clocks behave.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import math
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from ._error import HerenowError
from ._json import frame_of

TokenSource = str | Callable[[], "str | Awaitable[str]"]
"""A token, or a function, or a coroutine function, that brings a fresh one."""

_FLOOR_MS = 1_000
"""No two fetches are closer. Each doubles it, up to the longest, until a token is accepted."""
_MAX_FLOOR_MS = 10_000
_TOKEN = re.compile(r"[A-Za-z0-9_.-]+")
"""What a token may consist of: the parts of a JSON Web Token have no other characters."""
_UNSEEN_MS = 60_000
"""So long a token is kept that no broker has seen yet: a fresh one makes none answer."""
_RENEW_AHEAD_MS = 30_000
"""A token is renewed so long before it expires, or after two thirds of its life if that is less."""
_WARNING_MS = 10_000
"""The broker warns so long before a token expires."""
_MAX_TIMER_MS = 86_400_000
"""No timer is set for longer: the event loop refuses times that are too far away."""
_MAX_REFUSALS = 5
"""So many fresh tokens in a row may be refused: clocks differ, secrets rotate. Then it is over."""
_UNAUTHENTICATED = 4001
_TOKEN_EXPIRED = 4102


class Holder(Protocol):
    """Whose credentials they are."""

    def now(self) -> float:
        """By the broker's clock."""

    def ask(self, frame: dict[str, Any]) -> Awaitable[Any]:
        """The answer to a frame on this connection; None where that ends before."""

    def emit(self, name: str, argument: Any) -> None:
        """Tells what no promise does."""


def _steady_ms() -> float:
    return time.monotonic() * 1_000


class Credentials:
    """The token of a client."""

    def __init__(self, source: TokenSource | None, holder: Holder) -> None:
        self._source = source
        self._holder = holder
        self._token = ""
        # When the token expires; NaN if it does not say.
        self._expires_at = math.nan
        # Until when another connection may try with the token that no broker has seen yet.
        self._good_until = 0.0
        # From when on another may be fetched.
        self._not_before = 0.0
        self._floor_ms = _FLOOR_MS
        self._refusals = 0
        # Counts connections: a renewal that began on an earlier one is not for this one.
        self._connection = 0
        self._timer: asyncio.TimerHandle | None = None
        self._renewal: asyncio.Task[None] | None = None

    @property
    def _is_renewable(self) -> bool:
        return callable(self._source)

    @property
    def wait_ms(self) -> float:
        """How long another connection has to wait, since a token was fetched just now."""
        return 0 if self._is_good else self._not_before - _steady_ms()

    @property
    def _is_good(self) -> bool:
        return _steady_ms() < self._good_until and not self._life_ms < _FLOOR_MS

    @property
    def _life_ms(self) -> float:
        return self._expires_at - self._holder.now()

    async def take(self) -> str:
        """For a new connection."""
        if not self._is_good:
            self._use(await self._fetch())
        return self._token

    def accepted(self) -> None:
        """The broker has accepted the token."""
        self._floor_ms = _FLOOR_MS
        self._refusals = 0
        self._good_until = 0
        self._schedule_renewal()

    def warned(self) -> bool:
        """The broker says that the token expires soon. Whether another will come in time."""
        if math.isnan(self._expires_at):
            self._expires_at = self._holder.now() + _WARNING_MS
        self._schedule_renewal()
        return self._is_renewable

    def lost(self) -> None:
        """The connection is lost."""
        self._connection += 1
        if self._timer:
            self._timer.cancel()

    def end(self) -> None:
        """The client is closed: nothing is fetched any more."""
        self.lost()
        if self._renewal:
            self._renewal.cancel()

    def can_mend(self, close_code: int) -> bool:
        """The broker closed: whether another token may mend it."""
        self._good_until = 0
        if not self._is_renewable:
            return False
        if close_code == _UNAUTHENTICATED:
            self._refusals += 1
            return self._refusals <= _MAX_REFUSALS
        return close_code == _TOKEN_EXPIRED

    def _use(self, token: str) -> None:
        self._token = token
        self._expires_at = _expiry(token)
        self._good_until = _steady_ms() + _UNSEEN_MS

    async def _fetch(self) -> str:
        token: Any = self._source
        if callable(token):
            self._not_before = _steady_ms() + self._floor_ms
            self._floor_ms = min(2 * self._floor_ms, _MAX_FLOOR_MS)
            try:
                token = token()
                if inspect.isawaitable(token):
                    token = await token
            except Exception as cause:
                why = f"{type(cause).__name__}: {cause}"[:200]
                raise HerenowError("token_failed", f"token failed: {why}") from cause
        if isinstance(token, str) and _TOKEN.fullmatch(token):
            return token
        # A page that came instead has no place in a message, and neither has what may be secret.
        raise HerenowError("token_failed", f"token brought no JSON Web Token: {str(token)[:15]}")

    def _schedule_renewal(self) -> None:
        if self._timer:
            self._timer.cancel()
        if math.isnan(self._expires_at) or not self._is_renewable:
            return
        life_ms = self._life_ms
        wait_ms = max(life_ms - min(_RENEW_AHEAD_MS, life_ms / 3), self._not_before - _steady_ms(), 0)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(wait_ms, _MAX_TIMER_MS) / 1_000, self._begin_renewal)

    def _begin_renewal(self) -> None:
        if self._life_ms > max(_RENEW_AHEAD_MS, _MAX_TIMER_MS):
            return self._schedule_renewal()
        self._renewal = asyncio.get_running_loop().create_task(self._renew())

    async def _renew(self) -> None:
        connection = self._connection
        try:
            token = await self._fetch()
            # The program may have no newer one yet.
            if connection == self._connection and token != self._token:
                answer = await self._holder.ask(frame_of("auth", token=token))
                if answer and connection == self._connection:
                    self._use(token)
                    return self.accepted()
        except HerenowError as error:
            if connection == self._connection:
                self._holder.emit("error", error)
        if connection == self._connection:
            self._schedule_renewal()


def _expiry(token: str) -> float:
    """When a token expires, in milliseconds since 1970 by the broker's clock.

    NaN if it does not say, or is none that we can read: then the broker's warning tells in time.
    """
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return float(claims["exp"]) * 1_000
    except (LookupError, ValueError, TypeError):
        return math.nan
