"""What our own member carries: what was written here, what of it the broker has, what it is still to be told.

What was only read is not here, so that a join that comes again, which merges, says nothing for other
connections and back ends of the same user.

Writes fold: a key that is written again before it was said is said once. Pure: time is passed in, in
milliseconds of any clock that only goes forward.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ._error import HerenowError
from ._json import same
from ._promise import Settle, Taken, Waiting

_LASTING = math.inf
"""For as long as the member is there."""


@dataclass(slots=True, eq=False)
class Entry:
    """One key as it was written last."""

    value: Any
    """None: taken away, until the broker knows it."""
    until: float
    """When it vanishes by itself."""
    due: bool
    """Whether it is to be said."""
    theirs: bool = False
    """Somebody else has written it since."""


@dataclass(slots=True)
class Said:
    """Something that is being said to the broker."""

    attributes: dict[str, Any] | None
    merge: bool
    ttl_ms: int | None
    again: Callable[[], None]
    """It was not heard."""
    settle: Settle
    """The broker has answered."""


class Carried:
    """The attributes of our member."""

    def __init__(self) -> None:
        self._keys: dict[str, Entry] = {}
        # What the broker has of it.
        self._had: dict[str, Entry] = {}
        # Whether all keys that are not ours are to go.
        self._replaces = False
        # Whether nothing was ever said of attributes: then those count that another connection has set.
        self._silent = True
        # Who waits for something to be said.
        self._waiting = Waiting()

    def set(
        self,
        patch: Mapping[str, Any],
        *,
        until: float = _LASTING,
        replace: bool = False,
        settle: Settle | None = None,
    ) -> Callable[[], None]:
        """Writes; a None takes the key away. What it returns says that nobody waits any more.

        ``until``: when the keys of the patch vanish. ``replace``: all other keys go. ``settle``: is told
        the broker's answer.
        """
        if replace:
            self._keys = {}
            self._replaces = True
            self._silent = False
        for key, value in patch.items():
            self._keys[key] = Entry(value, _LASTING if value is None else until, due=True)
        return self._waiting.add(settle) if settle else lambda: None

    def say(self, now: float, joins: bool = False) -> list[Said]:
        """What is to be said, in as few frames as times allow; all of it by a join that is the first."""
        replaces = self._replaces
        is_all = joins or replaces
        self._replaces = False
        frames: dict[float, list[tuple[str, Entry]]] = {_LASTING: []} if is_all else {}
        for key, entry in list(self._keys.items()):
            is_over = entry.until <= now
            if is_over and self._had.get(key) is entry:
                del self._keys[key]
            elif (not entry.theirs) if is_all else entry.due:
                if is_over:
                    entry.value, entry.until = None, _LASTING
                entry.due = False
                frames.setdefault(entry.until, []).append((key, entry))
        waiting = self._waiting.take()
        if not frames:
            waiting.settle(None)
        last = len(frames) - 1
        return [
            self._said(some, until - now, replaces and n == 0, waiting, n == last)
            for n, (until, some) in enumerate(frames.items())
        ]

    def _said(
        self, some: list[tuple[str, Entry]], left_ms: float, replaces: bool, waiting: Taken, is_last: bool
    ) -> Said:
        def again() -> None:
            for key, _ in some:
                if key in self._keys:
                    self._keys[key].due = True
            self._replaces = self._replaces or replaces
            waiting.again()

        def settle(error: HerenowError | None, _answer: Any = None, /) -> None:
            if error:
                self._refused(some, replaces)
            else:
                self._done(some, replaces)
            if error or is_last:
                waiting.settle(error)

        return Said(
            attributes=None if self._silent and not some else {key: entry.value for key, entry in some},
            merge=not replaces,
            ttl_ms=math.ceil(left_ms) if left_ms < _LASTING else None,
            again=again,
            settle=settle,
        )

    def _done(self, some: list[tuple[str, Entry]], replaces: bool) -> None:
        if replaces:
            self._had.clear()
        for key, entry in some:
            if entry.value is not None:
                self._had[key] = entry
                continue
            self._had.pop(key, None)
            if self._keys.get(key) is entry:
                del self._keys[key]

    def _refused(self, some: list[tuple[str, Entry]], replaces: bool) -> None:
        """Takes it back to what the broker has, but for what was written since."""
        for key, entry in some:
            if self._keys.get(key) is not entry:
                continue
            if key in self._had:
                self._keys[key] = self._had[key]
            else:
                del self._keys[key]
        if replaces:
            self._keys = {**self._had, **self._keys}

    def end(self, error: HerenowError) -> None:
        """Nobody says it any more."""
        self._waiting.settle(error)

    def follow(self, attributes: Mapping[str, Any]) -> None:
        """Somebody has written our attributes.

        What is not as we wrote it is another's to say again; what we are still writing is newer than what
        comes in.
        """
        for key, entry in self._had.items():
            entry.theirs = not (key in attributes and same(attributes[key], entry.value))
