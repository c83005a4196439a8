"""What the parts of a program want of a channel: one subscription and one membership for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from ._json import Attributes, copied

Level = Literal["auto", "events", "count"]

_LEVELS: tuple[Level, ...] = ("count", "auto", "events")
"""From little to much: of what several want, the most counts."""
_MAX_RECENT = 200
"""So many of the newest members come with a number at ``auto``, if nobody says how many."""


@dataclass(slots=True, eq=False)
class Wish:
    """What one part of a program wants."""

    join: bool | Attributes
    level: Level | None
    recent: int | None
    recent_attributes: bool | None
    grace_ms: int | None
    visible_to: Sequence[str] | None

    @property
    def newest(self) -> int:
        """How many of the newest members it wants."""
        return self.recent if self.recent is not None else _MAX_RECENT if self.level == "auto" else 0


class _Held(Protocol):
    """The channel."""

    def join(
        self, attributes: Attributes | None, *, grace_ms: int | None, visible_to: Sequence[str] | None
    ) -> asyncio.Future[None]:
        """As a channel does it."""

    def leave(self) -> asyncio.Future[None]:
        """As a channel does it."""

    def subscribe(self, *, level: Level, recent: int | None, recent_attributes: bool | None) -> asyncio.Future[None]:
        """As a channel does it."""

    def unsubscribe(self) -> asyncio.Future[None]:
        """As a channel does it."""


class Holds:
    """All that is wanted of one channel, and what was last said of it."""

    def __init__(self, channel: _Held) -> None:
        self._channel = channel
        self._wishes: list[Wish] = []
        self._said_join: Any = None
        self._said_watch: Any = None

    async def add(self, wish: Wish) -> None:
        """Wants more."""
        if not isinstance(wish.join, bool):
            wish.join = copied(wish.join, "attributes")
        self._wishes.append(wish)
        try:
            await self._say()
        except BaseException:
            # Refused: asked again by whoever comes next.
            await self.remove(wish, forget=True)
            raise

    async def remove(self, wish: Wish, *, forget: bool = False) -> None:
        """Wants it no longer."""
        self._wishes.remove(wish)
        if forget:
            self._said_join = self._said_watch = None
            if not self._wishes:
                return
        await self._say()

    async def _say(self) -> None:
        # Join first: then the first snapshot has us in it already.
        said = [*self._say_join(), *self._say_watch()]
        if said:
            await asyncio.gather(*said)

    def _say_join(self) -> list[asyncio.Future[None]]:
        wish = next((each for each in reversed(self._wishes) if each.join is not False), None)
        wanted = wish and (wish.join, wish.grace_ms, wish.visible_to)
        if wanted == self._said_join:
            return []
        self._said_join = wanted
        if wish is None:
            return [self._channel.leave()]
        attributes = None if isinstance(wish.join, bool) else wish.join
        return [self._channel.join(attributes, grace_ms=wish.grace_ms, visible_to=wish.visible_to)]

    def _say_watch(self) -> list[asyncio.Future[None]]:
        watching = [each for each in self._wishes if each.level is not None]
        level = next((each for each in reversed(_LEVELS) if any(wish.level == each for wish in watching)), None)
        recent = None
        if any(wish.recent is not None for wish in watching):
            recent = max(wish.newest for wish in watching)
        attributes = any(wish.recent_attributes for wish in watching) or None
        wanted = level and (level, recent, attributes)
        if wanted == self._said_watch:
            return []
        self._said_watch = wanted
        if level is None:
            return [self._channel.unsubscribe()]
        return [self._channel.subscribe(level=level, recent=recent, recent_attributes=attributes)]


C = TypeVar("C")


class Hold(Generic[C]):
    """An ``async with`` in which something is wanted of a channel; it gives the channel."""

    def __init__(self, channel: C, holds: Holds, wish: Wish) -> None:
        self._channel = channel
        self._holds = holds
        self._wish = wish

    async def __aenter__(self) -> C:
        await self._holds.add(self._wish)
        return self._channel

    async def __aexit__(self, *_: object) -> None:
        await self._holds.remove(self._wish)
