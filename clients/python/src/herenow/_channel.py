"""One channel.

What we are in it (the membership), what we know of it (the replica), whether we watch, and telling the
program what truly changed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

from . import _replica as replica
from ._emitter import Listener
from ._error import HerenowError, superseded
from ._hold import Hold, Holds, Level, Wish
from ._json import Attributes, frame_of
from ._link import Saying
from ._membership import Membership
from ._promise import Settle, Waiting
from ._replica import Change, Kind, Member, Step

if TYPE_CHECKING:
    from ._client import Client

_SHOWN_S = 1.5
"""So long we wait until observers are told what we did: the broker gathers for a second at most."""
_MAX_UNREAD = 10_000
"""So many changes wait for whoever iterates over them."""


@dataclass(frozen=True, slots=True)
class PresenceEvent:
    """What happened to one member. Of somebody who went, ``info`` and ``attributes`` are the last."""

    event: Kind
    channel: str
    user: str
    info: Attributes | None
    attributes: Attributes
    away: bool
    before: Member | None
    """None for somebody who came."""
    reason: str | None
    """Of a ``leave``: ``left``, ``closed``, ``kicked``; of a ``timeout``: ``heartbeat``, ``connection``,
    ``lease``, ``node``; of ``updateAttributes``: ``expired``. None where it was found by comparing, after an
    absence of our own."""
    last_seen: int | None
    """Of a timeout."""
    at: int | None
    """When, in milliseconds since 1970 by the broker's clock."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the members, newest first."""

    members: tuple[Member, ...]
    count: int
    """How many there are that everyone may see, however many are listed."""
    next: int | None
    """The ``after`` of the next page; None on the last."""
    partial: bool = False
    """Of a cluster's other nodes not everything is known."""


class Channel(Membership):
    """A channel: always the same object for a name. Made by :meth:`Client.channel`."""

    def __init__(self, client: Client, name: str) -> None:
        super().__init__(client, name)
        self._replica = replica.NOTHING
        # Made when somebody looks.
        self._members: tuple[Member, ...] | None = None
        # What we asked for, and of the newest members; None when we do not watch.
        self._level: Level | None = None
        self._recent: dict[str, Any] = {}
        # Who iterates over changes, where nobody has subscribed otherwise.
        self._borrowers = 0
        # Who waits for the first state; until we watch no longer.
        self._watching = Waiting()
        self._ending = Waiting()
        # Who waits until what we did shows. Each is told whether something of our member did.
        self._showing: dict[Callable[[bool], None], None] = {}
        self._holding: asyncio.TimerHandle | None = None
        self._holds = Holds(self)

    @property
    def members(self) -> Sequence[Member]:
        """The members, newest first; another object after each change.

        At level ``count`` only the newest, as many as were asked for, with attributes if these were.
        """
        if self._members is None:
            self._members = replica.newest_first(self._replica)
        return self._members

    @property
    def count(self) -> int:
        """How many members there are that everyone may see."""
        return replica.count(self._replica)

    @property
    def level(self) -> Literal["events", "count"] | None:
        """What is told: ``events``, or only the ``count``; None before anything is."""
        return self._replica.level

    @property
    def live(self) -> bool:
        """Whether what is shown is kept up to date."""
        return self._replica.live

    @property
    def self(self) -> Member | None:
        """Our own member, as others see it; None if we are none, or do not watch."""
        return self.get(self._client.me)

    def get(self, user: str) -> Member | None:
        """One of the members."""
        return self._replica.members.get(user)

    @overload
    def on(self, name: Kind, listener: Callable[[PresenceEvent], object]) -> Callable[[], None]: ...
    @overload
    def on(self, name: Literal["change"], listener: Callable[[Channel], object]) -> Callable[[], None]: ...
    @overload
    def on(self, name: Literal["error"], listener: Callable[[HerenowError], object]) -> Callable[[], None]: ...
    def on(self, name: str, listener: Listener) -> Callable[[], None]:
        """Hears an event from now on; what it returns ends that.

        ``join``, ``leave``, ``timeout``, ``updateAttributes``: something truly happened. Nobody "comes" who was
        there before a reconnect and still is. ``change``: something that can be shown is new, at most once for
        each turn of the event loop. ``error``: we are out, or do not watch any more, without having asked for it.
        """
        return self._on(name, listener)

    def subscribe(
        self, *, level: Level = "auto", recent: int | None = None, recent_attributes: bool | None = None
    ) -> asyncio.Future[None]:
        """Watches the channel. Kept once the members, or their number, are known.

        ``level``: ``auto`` tells every change while the channel is small, and then the number and the newest
        members; ``events`` always every change; ``count`` only the number. ``recent``: so many of the newest
        come with the number, at most 200. ``recent_attributes``: with what they set, as far as there is room.
        """
        self._borrowers = 0
        return self._subscribe(level, {"recent": recent, "recentAttributes": recent_attributes})

    def _subscribe(self, level: Level, recent: dict[str, Any]) -> asyncio.Future[None]:
        def make(settle: Settle) -> None:
            self._level = level
            self._recent = recent
            self._watching.add(settle)
            self._send_subscribe()

        return self._client.promise(make, wanted=True)

    def unsubscribe(self) -> asyncio.Future[None]:
        """Watches no longer, and forgets what was known."""
        self._borrowers = 0
        self._end_subscription(superseded())

        def make(settle: Settle) -> None:
            if not self._client.is_open:
                return settle(None)
            self._ending.add(settle)
            self._send_subscribe()

        return self._client.promise(make)

    async def changes(self) -> AsyncIterator[PresenceEvent]:
        """Each ``join``, ``leave``, ``timeout`` and ``updateAttributes`` from now on.

        Watches the channel meanwhile, if nobody does. Ends when the client is closed. Raises what ends the
        subscription, and ``too_many_changes`` if 10,000 of them wait for the next turn of the loop.
        """
        unread: deque[PresenceEvent | HerenowError] = deque()
        news = asyncio.Event()

        def hear(event: PresenceEvent | HerenowError) -> None:
            if len(unread) >= _MAX_UNREAD:
                unread.clear()
                event = HerenowError("too_many_changes", f"more than {_MAX_UNREAD} changes were not read")
            unread.append(event)
            news.set()

        kinds: tuple[Kind, ...] = ("join", "leave", "timeout", "updateAttributes")
        stops = [self.on(kind, hear) for kind in kinds]
        stops.append(self.on("error", lambda error: hear(error) if self._level is None else None))
        stops.append(self._client.on("state", lambda state: news.set() if state.phase == "closed" else None))
        try:
            await self._borrow()
            while True:
                while unread:
                    event = unread.popleft()
                    if isinstance(event, HerenowError):
                        raise event
                    yield event
                if self._client.state.phase == "closed":
                    return
                await news.wait()
                news.clear()
        finally:
            for stop in stops:
                stop()
            self._give_back()

    async def _borrow(self) -> None:
        """Watches for one who iterates, if nobody has asked for it otherwise."""
        if self._level is not None and not self._borrowers:
            return
        self._borrowers += 1
        if self._level is not None:
            return
        try:
            await self._subscribe("auto", {})
        except HerenowError as error:
            # Without an answer in time it goes on being wanted; closed, there is nothing to tell.
            if not error.wanted and error.code != "closed":
                raise

    def _give_back(self) -> None:
        if self._borrowers:
            self._borrowers -= 1
            if not self._borrowers and self._level is not None:
                self.unsubscribe()

    def hold(
        self,
        *,
        join: bool | Attributes = False,
        level: Level | None = "auto",
        recent: int | None = None,
        recent_attributes: bool | None = None,
        grace_ms: int | None = None,
        visible_to: Sequence[str] | None = None,
    ) -> Hold[Channel]:
        """Wants something of the channel for as long as an ``async with`` lasts.

        All parts of a program that hold a channel share one subscription and one membership, which end when
        the last of them does. Of several levels the one that tells most counts, and so of several ``recent``;
        of several ``join`` the newest. Do not mix it with ``join``, ``leave``, ``subscribe`` and
        ``unsubscribe`` of the same channel.

        ``join``: True, or the attributes, to be a member too. ``level``: None to watch nothing.
        """
        wish = Wish(join, level, recent, recent_attributes, grace_ms, visible_to)
        return Hold(self, self._holds, wish)

    def get_members(self, *, limit: int | None = None, after: int | None = None) -> asyncio.Future[Page]:
        """One page of the members, newest first, whether we watch or not.

        ``after``: the ``next`` of the page before.
        """
        return self._query("getMembers", _page, limit=limit, after=after)

    async def all_members(self) -> AsyncIterator[Member]:
        """All members, newest first, page by page, whether we watch or not."""
        after = None
        while True:
            page = await self.get_members(after=after)
            for member in page.members:
                yield member
            if page.next is None:
                return
            after = page.next

    def get_count(self) -> asyncio.Future[int]:
        """How many members there are, whether we watch or not."""
        return self._query("getCount", lambda answer: answer["count"])

    def get_attributes(self, user: str | None = None) -> asyncio.Future[Attributes]:
        """A member's attributes; our own without a name."""
        return self._query("getAttributes", lambda answer: answer["attributes"], user=user)

    def _query(self, kind: str, read: Callable[[Any], Any], **more: Any) -> asyncio.Future[Any]:
        return self._client.ask_for(frame_of(kind, channel=self.name, **more), read)

    # For the client.

    def _watch_again(self) -> None:
        """And watches again: then a snapshot has us in it already, and our own row does not blink."""
        if self._level is not None:
            self._send_subscribe()

    def _interrupted(self) -> None:
        """The connection is lost. What is shown stays."""
        super()._interrupted()
        self._take(replica.interrupted(self._replica))
        self._ending.settle(None)

    def _ended(self) -> None:
        """There will be no other connection, unless the program asks for one."""
        self._stop_holding()
        self._look(True)
        super()._ended()

    def _frame(self, frame: dict[str, Any]) -> None:
        """The broker tells something of the channel."""
        if self._level is None:
            return
        step = replica.apply(self._replica, frame, self._client.sight)
        self._take(step)
        if step.gap:
            self._send_subscribe()
        kind = frame["type"]
        if kind == "count":
            self._look(True)
        if self.live and kind in ("snapshot", "count"):
            self._tell("watch", self._watching, None)

    def _removed(self, reason: str) -> None:
        """Our membership ended, or our rights, without our asking."""
        self._restore()
        # Which of our rights ended is not told; asked again, the broker names the one that is missing.
        if reason == "rights" and self._level is not None:
            self._send_subscribe()

    def _shown(self, is_so: Callable[[Member | None], bool], settle: Settle, *, counts: bool = True) -> Settle:
        """Waits until what was done shows, or something newer.

        The broker answers before it tells observers, of whom we are one: whoever awaited it and looks shall
        not see the old. ``counts``: whether it shows in their number, too.
        """

        def is_there() -> bool:
            if self._level is None:
                return True
            return self.live and (not counts if self.level == "count" else is_so(self.self))

        def settled(error: HerenowError | None, _answer: Any = None, /) -> None:
            if error or not self._client.is_open or is_there():
                return settle(error)

            def look(ours: bool) -> None:
                if ours or is_there():
                    timer.cancel()
                    self._showing.pop(look, None)
                    settle(None)

            timer = asyncio.get_running_loop().call_later(_SHOWN_S, look, True)
            self._showing[look] = None

        return settled

    def _look(self, ours: bool = False) -> None:
        for look in list(self._showing):
            look(ours)

    def _send_subscribe(self) -> None:
        """Says whether, and how, we watch when that may be sent."""
        self._client.post(self, self._subscription)

    def _subscription(self) -> list[Saying]:
        level = self._level
        if level is None:
            ended = self._ending.take()
            return [Saying(frame_of("unsubscribe", channel=self.name), ended.settle, ended.again)]
        self._ending.settle(None)

        def settle(error: HerenowError | None, answer: Any = None, /) -> None:
            if level != self._level:
                return
            if error:
                return self._end_subscription(error)
            if answer.get("resumed"):
                self._take(replica.resumed(self._replica))
                self._tell("watch", self._watching, None)
            # else a snapshot or a count follows

        place = replica.since(self._replica)
        return [Saying(frame_of("subscribe", channel=self.name, level=level, since=place, **self._recent), settle)]

    def _end_subscription(self, error: HerenowError) -> None:
        self._level = None
        self._stop_holding()
        self._take(Step(replica.NOTHING))
        self._tell("watch", self._watching, error)

    def _take(self, step: Step) -> None:
        after = step.replica
        if after is self._replica:
            return
        self._replica = after
        self._members = None
        if after.missing:
            self._hold_missing()
        me = self._client.me
        for change in step.changes:
            is_ours = change.user == me
            # Another connection of ours may have written.
            if is_ours and change.after and change.event == "updateAttributes":
                self._follow(change.after.attributes)
            if self._listeners:
                self.emit(change.event, self._event(change))
            if is_ours:
                self._look(True)
        self._look()
        self._changed()

    def _hold_missing(self) -> None:
        """After a restart everybody comes back one by one. Who does not has gone."""
        if self._holding is None:
            loop = asyncio.get_running_loop()
            self._holding = loop.call_later(self._client.return_ms / 1_000, self._settle_missing)

    def _settle_missing(self) -> None:
        self._stop_holding()
        self._take(replica.settle(self._replica))

    def _stop_holding(self) -> None:
        if self._holding:
            self._holding.cancel()
            self._holding = None

    def _event(self, change: Change) -> PresenceEvent:
        member = change.after or change.before
        assert member
        return PresenceEvent(
            event=change.event,
            channel=self.name,
            user=change.user,
            info=member.info,
            attributes=member.attributes,
            away=member.away,
            before=change.before,
            reason=change.reason,
            last_seen=change.last_seen,
            at=change.at,
        )


def _page(answer: dict[str, Any]) -> Page:
    return Page(
        members=tuple(map(replica.member_of, answer["members"])),
        count=answer["count"],
        next=answer.get("next"),
        partial=bool(answer.get("partial")),
    )
