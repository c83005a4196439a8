"""What we are in one channel.

Our own membership, what is wanted of it, and what of that the broker still has to be told. The frames
are made when they may be sent, from what is wanted then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ._carried import Carried
from ._clock import clock
from ._emitter import Emitter
from ._error import HerenowError, not_joined, superseded
from ._json import Attributes, copied, frame_of, same
from ._link import Saying
from ._promise import Settle, Taken, Waiting
from ._replica import Member

if TYPE_CHECKING:
    from ._client import Client

Joined = Literal["out", "joining", "in"]


@dataclass(slots=True, eq=False)
class _Wish:
    """What is wanted."""

    carried: Carried = field(default_factory=Carried)
    grace_ms: int | None = None
    visible_to: list[str] | None = None
    away: bool = False


@dataclass(slots=True)
class _Turn:
    """What is to be said of our being away, and who waits for it."""

    frame: dict[str, Any] | None
    away: bool | None
    settle: Settle
    again: Callable[[], None]


class Membership(Emitter):
    """The half of a :class:`Channel` that is about ourselves."""

    def __init__(self, client: Client, name: str) -> None:
        super().__init__()
        self.name = name
        """The channel's."""
        self._client = client
        self._joined: Joined = "out"
        # None when we do not want to be a member.
        self._wish: _Wish | None = None
        # Whether a join is to be said.
        self._due = False
        # Whether the broker was told on this connection that we are away; None: who knows.
        self._said: bool | None = False
        # Who waits until we are away, or back; until we are a member; until we are none.
        self._turning = Waiting()
        self._joining = Waiting()
        self._leaving = Waiting()
        # Why we are no member, and why we do not watch, though we asked for it.
        self._join_error: HerenowError | None = None
        self._watch_error: HerenowError | None = None
        self._is_told = True

    @property
    def joined(self) -> Joined:
        """Whether we are a member; ``joining`` until the broker says so, however many connections that takes."""
        return self._joined

    @property
    def error(self) -> HerenowError | None:
        """Why we are no member, or do not watch, though we asked for it.

        None once we do, or do not ask for it any more.
        """
        return self._join_error or self._watch_error

    def join(
        self,
        attributes: Attributes | None = None,
        *,
        grace_ms: int | None = None,
        visible_to: Sequence[str] | None = None,
    ) -> asyncio.Future[None]:
        """Becomes a member, and again on each new connection, with all that was set meanwhile.

        ``attributes``: absent, what is set already, here or by another connection of ours. ``grace_ms``: for
        how long others do not notice if the connection is lost. ``visible_to``: the roles that may see us;
        everyone if it was never said. What is not named stays as it was said before: who hides would not want to
        be seen for having changed a mood.

        Kept once we are a member, and where the channel is watched, once it shows.
        """

        def make(settle: Settle) -> None:
            written = None if attributes is None else copied(attributes, "attributes")
            wish = self._wish = self._wish or _Wish()
            if grace_ms is not None:
                wish.grace_ms = grace_ms
            if visible_to is not None:
                wish.visible_to = list(visible_to)
            if written is not None:
                wish.carried.set(written, replace=True)
            self._joining.add(self._shown(lambda self_: _has(self_, written or {}), settle))
            self._restore()

        return self._client.promise(make, wanted=True)

    def leave(self) -> asyncio.Future[None]:
        """Is a member no longer."""

        def make(settle: Settle) -> None:
            self._end(superseded())
            if not self._client.is_open:
                return settle(None)
            self._leaving.add(self._shown(lambda self_: self_ is None, settle))
            self._post()

        return self._client.promise(make)

    def set_attributes(
        self, patch: Attributes, *, ttl_ms: float | None = None, replace: bool = False
    ) -> asyncio.Future[None]:
        """Sets some attributes of our member and keeps the others; a None takes a key away.

        Calls that come faster than may be sent fold. ``ttl_ms``: after so many milliseconds the keys of the
        patch vanish by themselves. ``replace``: keep no others.

        Kept once the broker has it, or something newer of the same keys, and where the channel is watched,
        once it shows.
        """

        def make(told: Settle) -> Callable[[], None]:
            written = copied(patch, "attributes")
            if ttl_ms is not None and not 0 < ttl_ms < float("inf"):
                raise HerenowError("invalid_field", "ttl_ms must be a number of milliseconds above 0", field="ttl_ms")
            if self._wish is None:
                raise not_joined()
            until = float("inf") if ttl_ms is None else clock() + ttl_ms
            settle = self._shown(lambda self_: _has(self_, written), told, counts=False)
            cancel = self._wish.carried.set(written, until=until, replace=replace, settle=settle)
            self._post()
            return cancel

        return self._client.promise(make, wanted=True)

    def away(self, away: bool = True) -> asyncio.Future[None]:
        """Says that we are away from here, in this channel, or back.

        We are shown as away while that is so of all that keeps us present.
        """

        def make(settle: Settle) -> None:
            if self._wish is None:
                raise not_joined()
            self._wish.away = away
            self._turning.add(settle)
            self._post()

        return self._client.promise(make, wanted=True)

    # For the rest of the library.

    def _restore(self) -> None:
        """There is a new connection, or the broker has let go of us: is a member again."""
        if self._wish is None:
            return
        self._set_joined("joining")
        self._due = True
        self._post()

    def _interrupted(self) -> None:
        """The connection is lost, and with it what was said on it."""
        self._leaving.settle(None)
        self._said = False
        if self._joined == "in":
            self._set_joined("joining")

    def _ended(self) -> None:
        """There will be no other connection, unless the program asks for one."""
        self._set_joined("out")

    def _turned(self, away: bool) -> None:
        """The broker is told that we are away everywhere, or back."""
        self._said = away
        if self._wish:
            self._post()

    def _follow(self, attributes: Attributes) -> None:
        """Another connection of ours may have written."""
        if self._wish:
            self._wish.carried.follow(attributes)

    def _changed(self) -> None:
        """Something that can be shown is new. Told at most once for each turn of the event loop."""
        if self._is_told:
            self._is_told = False
            asyncio.get_running_loop().call_soon(self._tell_change)

    def _tell_change(self) -> None:
        self._is_told = True
        self.emit("change", self)

    def _tell(self, what: Literal["join", "watch"], waiting: Waiting, error: HerenowError | None) -> None:
        """Tells those who wait how it ended; if nobody does, whoever listens."""
        news = None if error and error.code == "superseded" else error
        if what == "join":
            self._join_error = news
        else:
            self._watch_error = news
        self._changed()
        if news and not waiting:
            self.emit("error", news)
        waiting.settle(error)

    def _shown(self, is_so: Callable[[Member | None], bool], settle: Settle, *, counts: bool = True) -> Settle:
        """Waits until what was done shows, where that is told."""
        return settle

    def _post(self) -> None:
        self._client.post(self._joining, self._frames)

    def _frames(self) -> list[Saying]:
        wish = self._wish
        if wish is None:
            left = self._leaving.take()
            return [Saying(frame_of("leave", channel=self.name), left.settle, left.again)]
        self._leaving.settle(None)
        joins, self._due = self._due, False
        turn = self._turn(wish, joins)
        sayings = []
        for n, said in enumerate(wish.carried.say(clock(), joins)):
            words = {"channel": self.name, "attributes": said.attributes, "merge": said.merge, "ttlMs": said.ttl_ms}
            if joins and n == 0:
                sayings.append(self._join_saying(wish, turn, words, said.settle, said.again))
            else:
                sayings.append(self._set_saying(wish, words, said.settle, said.again))
        if turn.frame and not joins:
            sayings.append(Saying(turn.frame, turn.settle, turn.again))
        elif not joins:
            turn.settle(None)
        return sayings

    def _join_saying(
        self, wish: _Wish, turn: _Turn, words: dict[str, Any], settle: Settle, again: Callable[[], None]
    ) -> Saying:
        def unheard() -> None:
            again()
            turn.again()
            self._due = True

        def settled(error: HerenowError | None, _answer: Any = None, /) -> None:
            turn.settle(error)
            settle(error)

        frame = frame_of(
            "join",
            **words,
            away=turn.away if turn.frame else None,
            visibleTo=wish.visible_to,
            graceMs=self._client.grace_ms if wish.grace_ms is None else wish.grace_ms,
        )
        return Saying(frame, self._when_joined(wish, settled), unheard)

    def _set_saying(self, wish: _Wish, words: dict[str, Any], settle: Settle, again: Callable[[], None]) -> Saying:
        def settled(error: HerenowError | None, _answer: Any = None, /) -> None:
            # Its join was not heard, or the broker has let go of us.
            if error and error.code == "not_joined" and wish is self._wish:
                again()
                return self._restore()
            settle(error)

        return Saying(frame_of("setAttributes", **words), settled, again)

    def _turn(self, wish: _Wish, joins: bool) -> _Turn:
        """Has it said, if the broker does not know it, whether we are away.

        A join says it again: the one before may be over.
        """
        is_away = self._client.is_away or wish.away
        is_news = is_away != self._said or (joins and is_away)
        taken: Taken = self._turning.take()
        self._said = is_away

        def again() -> None:
            self._said = None
            taken.again()

        frame = {"type": "away", "away": is_away, "channels": [self.name]} if is_news else None
        return _Turn(frame, is_away, taken.settle, again)

    def _when_joined(self, wish: _Wish, settle: Settle) -> Settle:
        waiting = self._joining.list()

        def settled(error: HerenowError | None, _answer: Any = None, /) -> None:
            settle(error)
            if wish is not self._wish:
                return
            if error:
                self._end(error)
                # Refused, it changed nothing: the broker may have us by an earlier one.
                return self._post()
            self._join_error = None
            self._set_joined("in")
            for each in waiting:
                self._joining.discard(each)
                each(None)

        return settled

    def _end(self, error: HerenowError) -> None:
        if self._wish:
            self._wish.carried.end(error)
        self._wish = None
        self._said = False
        self._turning.settle(error)
        self._set_joined("out")
        self._tell("join", self._joining, error)

    def _set_joined(self, joined: Joined) -> None:
        if joined != self._joined:
            self._joined = joined
            self._changed()


def _has(member: Member | None, patch: Attributes) -> bool:
    """Whether it shows. What is None is not there."""
    if member is None:
        return False
    carried = member.attributes
    return all(
        (key not in carried) if value is None else (key in carried and same(carried[key], value))
        for key, value in patch.items()
    )
