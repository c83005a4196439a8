"""Users apart from any channel: who is watched, and what was told of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ._emitter import call
from ._error import HerenowError
from ._json import Attributes, same
from ._link import Saying

if TYPE_CHECKING:
    from ._client import Client

_BATCH = 50
"""Names in one frame: 50 of the longest fit into a message."""


@dataclass(frozen=True, slots=True)
class Status:
    """A user's status: the fields of the protocol's ``status`` frame. Times are in milliseconds since 1970."""

    user: str
    live: bool = True
    """Whether it is kept up to date: False while there is no connection."""
    online: bool = False
    away: bool = False
    """Away from all that keeps the user online."""
    invisible: bool = False
    """Only told of ourselves."""
    busy: bool = False
    wait_time: int | None = None
    """In minutes."""
    text: str | None = None
    info: Attributes | None = None
    last_seen: int | None = None
    created_at: int | None = None
    updated_at: int | None = None

    @classmethod
    def of(cls, told: dict[str, Any]) -> Status:
        """What a frame, or an answer over HTTP, says."""
        return cls(
            user=told["user"],
            online=told["online"],
            away=bool(told.get("away")),
            invisible=bool(told.get("invisible")),
            busy=told["busy"],
            wait_time=told.get("waitTime"),
            text=told.get("text"),
            info=told.get("info"),
            last_seen=told.get("lastSeen"),
            created_at=told.get("createdAt"),
            updated_at=told.get("updatedAt"),
        )


Watcher = Callable[[Status], object]


@dataclass(slots=True, eq=False)
class _Watch:
    watcher: Watcher
    live: bool


class User:
    """A user whose status may be watched."""

    def __init__(self, users: Users, name: str) -> None:
        self.id = name
        self.status: Status | None = None
        """What was told last."""
        self._users = users
        self._watches: list[_Watch] = []

    @property
    def is_watched(self) -> bool:
        """Whether anybody here does."""
        return bool(self._watches)

    def watch(self, watcher: Watcher, *, live: bool = False) -> Callable[[], None]:
        """Hears the status as soon as it is known, and again whenever it changes.

        ``live``: also when the connection is lost, and when it is back. What is refused is told by the
        client's ``error``. What is returned ends it.
        """
        mine = _Watch(watcher, live)
        is_first = not self._watches
        self._watches.append(mine)
        if is_first:
            self._users.changed(self)
        elif self.status:
            call(watcher, self.status)

        def stop() -> None:
            if mine not in self._watches:
                return
            self._watches.remove(mine)
            if not self._watches:
                self.status = None
                self._users.changed(self)

        return stop

    async def statuses(self) -> AsyncIterator[Status]:
        """The status as soon as it is known, and again whenever it changes.

        Whoever is slow misses those in between, and never the last.
        """
        latest: list[Status] = []
        news = asyncio.Event()

        def hear(status: Status) -> None:
            latest[:] = [status]
            news.set()

        stop = self.watch(hear)
        try:
            while True:
                await news.wait()
                news.clear()
                yield latest[0]
        finally:
            stop()

    def told(self, status: Status) -> None:
        """For the library itself: there is news."""
        before = self.status
        self.status = status
        is_news = before is None or not _shows_same(before, status)
        is_other = before is None or before.live != status.live
        for watch in list(self._watches):
            if is_news or (watch.live and is_other):
                call(watch.watcher, status)

    def interrupted(self) -> None:
        """For the library itself: the connection is lost."""
        if self.status and self.status.live:
            self.told(replace(self.status, live=False))


class Users:
    """All users that were named."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._all: dict[str, User] = {}
        # Whom there is something to say of at the end of this turn, all in one.
        self._due: dict[User, None] = {}

    def get(self, name: str) -> User:
        """Always the same object for an id."""
        if name not in self._all:
            self._all[name] = User(self, name)
        return self._all[name]

    def changed(self, user: User) -> None:
        """Somebody is watched, or not any more."""
        self._due[user] = None
        if len(self._due) == 1:
            asyncio.get_running_loop().call_soon(self._say)

    def restore(self) -> None:
        """On a new connection, all are asked for again."""
        for user in self._all.values():
            if user.is_watched:
                self._due[user] = None
        self._say()

    def interrupted(self) -> None:
        """The connection is lost."""
        for user in list(self._all.values()):
            user.interrupted()

    def told(self, frame: dict[str, Any]) -> None:
        """A ``status`` frame."""
        user = self._all.get(frame["user"])
        if user and user.is_watched:
            user.told(Status.of(frame))

    def removed(self, ids: Iterable[str]) -> None:
        """A fresh token does not grant them."""
        # Each alone: if one is refused, all are.
        for name in ids:
            self._post([self.get(name)])

    def _say(self) -> None:
        due = list(self._due)
        self._due.clear()
        for begin in range(0, len(due), _BATCH):
            self._post(due[begin : begin + _BATCH])

    def _post(self, some: list[User]) -> None:
        """Says of each whether it is watched when that may be sent."""
        self._client.post(object(), lambda: self._frames(some))

    def _frames(self, some: list[User]) -> list[Saying]:
        sayings = []
        for kind, wanted in (("watch", True), ("unwatch", False)):
            ids = [user.id for user in some if user.is_watched == wanted]
            if ids:
                sayings.append(
                    Saying({"type": kind, "users": ids}, lambda error, _=None, /, ids=ids: self._answered(error, ids))
                )
        return sayings

    def _answered(self, error: HerenowError | None, ids: list[str]) -> None:
        if error and len(ids) > 1:
            self.removed(ids)
        elif error:
            self._client.emit("error", error)


def _shows_same(one: Status, other: Status) -> bool:
    """While a user is online it was last seen about now, and that is no news."""
    seen = 0 if other.online else other.last_seen
    before = 0 if one.online else one.last_seen
    return (
        before == seen
        and same(one.info or {}, other.info or {})
        and replace(one, live=True, last_seen=0, info=None) == replace(other, live=True, last_seen=0, info=None)
    )
