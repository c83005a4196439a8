"""The broker's HTTP API, for back ends: :class:`Api`, and :class:`AsyncApi` for asyncio.

::

    from herenow.http import Api

    with Api("https://presence.example.com", token=API_KEY) as api:
        print(api.count("room-1"), [member.user for member in api.members("room-1")])
        with api.lease("room-1", "robot", {"mood": "calm"}):
            work()

Refusals are raised as :class:`herenow.HerenowError`, with the problem's ``code``, ``field`` and ``status``. A
request is made again where that is harmless: when there was no answer, or the broker says that it is
too much at once.

This needs ``httpx``: ``pip install 'herenow[http]'``.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import httpx

from . import _calls as calls
from ._calls import (
    Answer,
    Call,
    ChannelCount,
    ChannelView,
    Connection,
    EndLease,
    KeptMember,
    Key,
    Kicked,
    LeaseAnswer,
    LeaseAnswers,
    LeasedMember,
    Level,
    Source,
    TakeLease,
)
from ._client import UNSET, Unset
from ._error import HerenowError
from ._json import Attributes
from ._replica import Member
from ._shapes import Heartbeat
from ._stream import Decoder, StreamEvent
from ._user import Status

__all__ = [
    "Api",
    "AsyncApi",
    "AsyncLease",
    "ChannelCount",
    "ChannelView",
    "Connection",
    "EndLease",
    "KeptMember",
    "Key",
    "Kicked",
    "Lease",
    "LeaseAnswer",
    "LeasedMember",
    "Source",
    "StreamEvent",
    "TakeLease",
]

T = TypeVar("T")
A = TypeVar("A")
"""Behind what the next page begins."""

_TIMEOUT = httpx.Timeout(10.0)
_SILENCE_S = 40.0
"""A stream says something every 15 s."""
_FIRST_RETRY_S, _MAX_RETRY_S = 1.0, 10.0


class _Wish:
    """What a lease is to show, and how it is asked for again."""

    def __init__(
        self,
        channel: str,
        user: str,
        attributes: Attributes | None,
        visible_to: Sequence[str] | None,
        away: bool | None,
        ttl_ms: int | None,
    ) -> None:
        self.channel = channel
        self.user = user
        self.attributes = dict(attributes or {})
        self.visible_to = visible_to
        self.away = away
        self.ttl_ms = ttl_ms

    def first(self) -> Call[LeasedMember]:
        """With all that it is to show."""
        return self._take(self.attributes)

    def again(self) -> Call[LeasedMember]:
        """What is there stays, whoever wrote it. Whom it is hidden from is said: it may have run out."""
        return self._take(None)

    def write(self, patch: Attributes) -> Call[LeasedMember]:
        """Some attributes more; a None takes a key away."""
        self.attributes = {**self.attributes, **patch}
        return self._take(patch)

    def _take(self, attributes: Attributes | None) -> Call[LeasedMember]:
        return calls.take_lease(
            self.channel,
            self.user,
            attributes=attributes,
            merge=attributes is not None,
            visible_to=self.visible_to,
            away=self.away,
            ttl_ms=self.ttl_ms,
        )

    def end(self) -> Call[None]:
        """It is given up."""
        return calls.end_lease(self.channel, self.user)


def _headers(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _answer(response: httpx.Response) -> Answer:
    try:
        body = response.json() if response.content else None
    except ValueError:
        body = None
    return Answer(response.status_code, body)


def _request(call: Call[Any], user: str | None) -> dict[str, Any]:
    query = {**call.query, "user": user} if user else call.query
    # An empty object, too: a PUT without a body has no type.
    return {"method": call.method, "url": call.path, "params": query, "json": call.body}


def _unreachable(error: httpx.TransportError) -> HerenowError:
    told = HerenowError("unreachable", f"no answer: {error or type(error).__name__}")
    told.__cause__ = error
    return told


def _read(call: Call[T], answer: Answer) -> T:
    try:
        return call.read(answer.body)
    except (LookupError, TypeError, ValueError) as cause:
        raise HerenowError(
            "unexpected", f"{call.method} {call.path} is answered with what is none of herenow", status=answer.status
        ) from cause


class Api:
    """The whole HTTP API. It may be used from several threads.

    ``url``: where the broker is, as ``https://presence.example.com``. ``token``: an API key, or a user's token.
    ``user``: as whom to look at an open broker. ``client``: an ``httpx.Client`` of your own, for proxies and
    certificates.
    """

    def __init__(
        self, url: str, *, token: str | None = None, user: str | None = None, client: httpx.Client | None = None
    ) -> None:
        self._user = user
        self._client = client or httpx.Client(timeout=_TIMEOUT)
        self._client.base_url = httpx.URL(url)
        self._client.headers.update(_headers(token))

    def __enter__(self) -> Api:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes all connections."""
        self._client.close()

    def count(self, channel: str) -> int:
        """How many members a channel has that everyone may see."""
        return self._do(calls.count(channel))

    def counts(self, channels: Iterable[str]) -> dict[str, int]:
        """How many members each of several channels has that everyone may see, a hundred in a request."""
        lists, odd = calls.name_batches(channels)
        told: dict[str, int] = {}
        for some in lists:
            counted = self._do(calls.counts(some))
            told |= counted
        for channel in odd:
            told[channel] = self.count(channel)
        return told

    def channel(self, name: str) -> ChannelView:
        """A channel's count, observers and connections."""
        return self._do(calls.channel(name))

    def channels(self, prefix: str | None = None, *, limit: int | None = None) -> Iterator[ChannelCount]:
        """All channels that somebody is in, by name, page by page (an API key's question)."""
        return self._pages(lambda after: calls.channels(prefix, limit, after))

    def largest_channels(self, prefix: str | None = None, *, limit: int | None = None) -> Iterator[ChannelCount]:
        """The same, the largest first. It changes while it is read: one may come twice, or not at all."""
        return self._pages(lambda after: calls.largest_channels(prefix, limit, after))

    def members(self, channel: str, *, limit: int | None = None) -> Iterator[Member]:
        """All members, newest first, page by page. ``limit``: of one page."""
        return self._pages(lambda after: calls.members(channel, limit, after))

    def kept_members(self, channel: str, *, limit: int | None = None) -> Iterator[KeptMember]:
        """The same, each with what keeps it present: connections, a lease, other nodes (an API key's question)."""
        return self._pages(lambda after: calls.kept_members(channel, limit, after))

    def member(self, channel: str, user: str) -> Member:
        """One member; ``not_found`` if there is none, or you may not see it."""
        return self._do(calls.member(channel, user))

    def channels_of(self, user: str, *, limit: int | None = None) -> Iterator[str]:
        """The channels that a user is in, by name, page by page."""
        return self._pages(lambda after: calls.channels_of(user, limit, after))

    def take_lease(
        self,
        channel: str,
        user: str,
        attributes: Attributes | None = None,
        *,
        merge: bool = False,
        visible_to: Sequence[str] | None = None,
        away: bool | None = None,
        ttl_ms: int | None = None,
    ) -> LeasedMember:
        """Makes a user present for a while, or for longer. What is absent stays as it is."""
        return self._do(
            calls.take_lease(
                channel, user, attributes=attributes, merge=merge, visible_to=visible_to, away=away, ttl_ms=ttl_ms
            )
        )

    def end_lease(self, channel: str, user: str) -> None:
        """Ends a lease, whether there was one or not."""
        self._do(calls.end_lease(channel, user))

    def update_leases(self, wanted: Iterable[TakeLease | EndLease]) -> list[LeaseAnswer]:
        """Takes, refreshes and ends many leases, a thousand in a request.

        Each has its answer, in their order, and is judged for itself: the others are done whatever becomes of it.
        A request that fails as a whole is the error of each in it. It is raised only if none was taken at all.
        """
        told = LeaseAnswers()
        for some in calls.lease_batches(wanted):
            if told.is_lost:
                told.lost(len(some))
                continue
            try:
                told.done(self._do(calls.leases(some)))
            except HerenowError as error:
                told.failed(len(some), error)
        return told.all()

    def lease(
        self,
        channel: str,
        user: str,
        attributes: Attributes | None = None,
        *,
        visible_to: Sequence[str] | None = None,
        away: bool | None = None,
        ttl_ms: int | None = None,
    ) -> Lease:
        """A lease for as long as a ``with`` lasts: a thread renews it, and in the end it is given up."""
        return Lease(self, _Wish(channel, user, attributes, visible_to, away, ttl_ms))

    def status(self, user: str) -> Status:
        """A user's status."""
        return self._do(calls.status(user))

    def statuses(self, users: Iterable[str]) -> list[Status]:
        """The statuses of those of them of whom anything is known."""
        lists, odd = calls.name_batches(users)
        told = [each for some in lists for each in self._do(calls.statuses(some))]
        for user in odd:
            try:
                told.append(self.status(user))
            except HerenowError as error:
                if error.code != "not_found":
                    raise
        return told

    def set_status(
        self,
        user: str,
        *,
        busy: bool | Unset = UNSET,
        invisible: bool | Unset = UNSET,
        wait_time: int | Unset | None = UNSET,
        text: str | Unset | None = UNSET,
    ) -> Status:
        """Sets a user's status: what is absent stays. ``wait_time`` is in minutes."""
        return self._do(calls.set_status(user, busy=busy, invisible=invisible, wait_time=wait_time, text=text))

    def heartbeat(self, user: str, *, away: bool | None = None) -> Heartbeat:
        """The user is online, without a socket; when to say so again."""
        return self._do(calls.heartbeat(user, away))

    def end_heartbeat(self, user: str) -> None:
        """The user is online by heartbeats no longer."""
        self._do(calls.end_heartbeat(user))

    def kick(self, user: str, *, keep_leases: bool = False) -> Kicked:
        """Signs a user out: ends all connections, and all leases unless these are to be kept."""
        return self._do(calls.kick(user, keep_leases))

    def connections(self, user: str, *, limit: int | None = None) -> Iterator[Connection]:
        """A user's connections, page by page (an API key's question)."""
        return self._pages(lambda after: calls.connections(user, limit, after))

    def kick_connection(self, user: str, connection: str) -> Kicked:
        """Ends one connection. That is no sign-out: the user's others stay, and the token is good."""
        return self._do(calls.kick_connection(user, connection))

    def key(self) -> Key:
        """What the API key may do."""
        return self._do(calls.key())

    def overview(self, *, since: int | None = None) -> dict[str, Any]:
        """The broker in numbers, now and over the last hour, as ``docs/http.md`` has them: for its operator."""
        return self._do(calls.overview(since))

    def _pages(self, page: Callable[[A | None], Call[tuple[list[T], A | None]]]) -> Iterator[T]:
        after: A | None = None
        while True:
            some, after = self._do(page(after))
            yield from some
            if after is None:
                return

    def _do(self, call: Call[T]) -> T:
        return _read(call, self._answer(call))

    def _answer(self, call: Call[Any]) -> Answer:
        tries = 0
        while True:
            tries += 1
            try:
                answer = _answer(self._client.request(**_request(call, self._user)))
                if answer.status < 400:
                    return answer
                error = calls.problem(answer)
            except httpx.TransportError as cause:
                error = _unreachable(cause)
            wait = calls.wait_before(call, tries, error)
            if wait is None:
                raise error
            time.sleep(wait)


class Lease:
    """A lease that renews itself while a ``with`` is open. Made by :meth:`Api.lease`."""

    def __init__(self, api: Api, wish: _Wish) -> None:
        self._api = api
        self._wish = wish
        self._ended = threading.Event()
        # A renewal and a write are one after the other, so that none takes back what the other said.
        self._turn = threading.Lock()
        self._thread: threading.Thread | None = None
        self.error: HerenowError | None = None
        """Why the last renewal failed; None if it did not."""

    def __enter__(self) -> Lease:
        leased = self._api._do(self._wish.first())
        self._thread = threading.Thread(target=self._renew, args=(leased.heartbeat,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join()
        self._api._do(self._wish.end())

    def set_attributes(self, patch: Attributes) -> LeasedMember:
        """Sets some attributes and keeps the others; a None takes a key away."""
        with self._turn:
            return self._api._do(self._wish.write(patch))

    def _renew(self, beat: Heartbeat) -> None:
        while not self._ended.wait(beat.interval_ms / 1_000):
            try:
                with self._turn:
                    call = self._wish.again()
                    answer = self._api._answer(call)
                    # It had run out.
                    if answer.status == 201 and self._wish.attributes:
                        call = self._wish.first()
                        answer = self._api._answer(call)
                beat = _read(call, answer).heartbeat
                self.error = None
            except HerenowError as error:
                self.error = error


class AsyncApi:
    """The same for asyncio, and event streams."""

    def __init__(
        self, url: str, *, token: str | None = None, user: str | None = None, client: httpx.AsyncClient | None = None
    ) -> None:
        self._user = user
        # Each stream keeps a connection: a hundred of them must not leave everything else waiting for one.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
        self._client = client or httpx.AsyncClient(timeout=_TIMEOUT, limits=limits)
        self._client.base_url = httpx.URL(url)
        self._client.headers.update(_headers(token))

    async def __aenter__(self) -> AsyncApi:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.aclose()

    async def count(self, channel: str) -> int:
        """How many members a channel has that everyone may see."""
        return await self._do(calls.count(channel))

    async def counts(self, channels: Iterable[str]) -> dict[str, int]:
        """How many members each of several channels has that everyone may see, a hundred in a request."""
        lists, odd = calls.name_batches(channels)
        told: dict[str, int] = {}
        for some in lists:
            counted = await self._do(calls.counts(some))
            told |= counted
        for channel in odd:
            told[channel] = await self.count(channel)
        return told

    async def channel(self, name: str) -> ChannelView:
        """A channel's count, observers and connections."""
        return await self._do(calls.channel(name))

    def channels(self, prefix: str | None = None, *, limit: int | None = None) -> AsyncIterator[ChannelCount]:
        """All channels that somebody is in, by name, page by page (an API key's question)."""
        return self._pages(lambda after: calls.channels(prefix, limit, after))

    def largest_channels(self, prefix: str | None = None, *, limit: int | None = None) -> AsyncIterator[ChannelCount]:
        """The same, the largest first. It changes while it is read: one may come twice, or not at all."""
        return self._pages(lambda after: calls.largest_channels(prefix, limit, after))

    def members(self, channel: str, *, limit: int | None = None) -> AsyncIterator[Member]:
        """All members, newest first, page by page. ``limit``: of one page."""
        return self._pages(lambda after: calls.members(channel, limit, after))

    def kept_members(self, channel: str, *, limit: int | None = None) -> AsyncIterator[KeptMember]:
        """The same, each with what keeps it present: connections, a lease, other nodes (an API key's question)."""
        return self._pages(lambda after: calls.kept_members(channel, limit, after))

    async def member(self, channel: str, user: str) -> Member:
        """One member; ``not_found`` if there is none, or you may not see it."""
        return await self._do(calls.member(channel, user))

    def channels_of(self, user: str, *, limit: int | None = None) -> AsyncIterator[str]:
        """The channels that a user is in, by name, page by page."""
        return self._pages(lambda after: calls.channels_of(user, limit, after))

    async def take_lease(
        self,
        channel: str,
        user: str,
        attributes: Attributes | None = None,
        *,
        merge: bool = False,
        visible_to: Sequence[str] | None = None,
        away: bool | None = None,
        ttl_ms: int | None = None,
    ) -> LeasedMember:
        """Makes a user present for a while, or for longer. What is absent stays as it is."""
        return await self._do(
            calls.take_lease(
                channel, user, attributes=attributes, merge=merge, visible_to=visible_to, away=away, ttl_ms=ttl_ms
            )
        )

    async def end_lease(self, channel: str, user: str) -> None:
        """Ends a lease, whether there was one or not."""
        await self._do(calls.end_lease(channel, user))

    async def update_leases(self, wanted: Iterable[TakeLease | EndLease]) -> list[LeaseAnswer]:
        """Takes, refreshes and ends many leases, a thousand in a request.

        Each has its answer, in their order, and is judged for itself: the others are done whatever becomes of it.
        A request that fails as a whole is the error of each in it. It is raised only if none was taken at all.
        """
        told = LeaseAnswers()
        for some in calls.lease_batches(wanted):
            if told.is_lost:
                told.lost(len(some))
                continue
            try:
                told.done(await self._do(calls.leases(some)))
            except HerenowError as error:
                told.failed(len(some), error)
        return told.all()

    def lease(
        self,
        channel: str,
        user: str,
        attributes: Attributes | None = None,
        *,
        visible_to: Sequence[str] | None = None,
        away: bool | None = None,
        ttl_ms: int | None = None,
    ) -> AsyncLease:
        """A lease for as long as an ``async with`` lasts: a task renews it, and in the end it is given up."""
        return AsyncLease(self, _Wish(channel, user, attributes, visible_to, away, ttl_ms))

    async def status(self, user: str) -> Status:
        """A user's status."""
        return await self._do(calls.status(user))

    async def statuses(self, users: Iterable[str]) -> list[Status]:
        """The statuses of those of them of whom anything is known."""
        lists, odd = calls.name_batches(users)
        told = [each for some in lists for each in await self._do(calls.statuses(some))]
        for user in odd:
            try:
                told.append(await self.status(user))
            except HerenowError as error:
                if error.code != "not_found":
                    raise
        return told

    async def set_status(
        self,
        user: str,
        *,
        busy: bool | Unset = UNSET,
        invisible: bool | Unset = UNSET,
        wait_time: int | Unset | None = UNSET,
        text: str | Unset | None = UNSET,
    ) -> Status:
        """Sets a user's status: what is absent stays. ``wait_time`` is in minutes."""
        return await self._do(calls.set_status(user, busy=busy, invisible=invisible, wait_time=wait_time, text=text))

    async def heartbeat(self, user: str, *, away: bool | None = None) -> Heartbeat:
        """The user is online, without a socket; when to say so again."""
        return await self._do(calls.heartbeat(user, away))

    async def end_heartbeat(self, user: str) -> None:
        """The user is online by heartbeats no longer."""
        await self._do(calls.end_heartbeat(user))

    async def kick(self, user: str, *, keep_leases: bool = False) -> Kicked:
        """Signs a user out: ends all connections, and all leases unless these are to be kept."""
        return await self._do(calls.kick(user, keep_leases))

    def connections(self, user: str, *, limit: int | None = None) -> AsyncIterator[Connection]:
        """A user's connections, page by page (an API key's question)."""
        return self._pages(lambda after: calls.connections(user, limit, after))

    async def kick_connection(self, user: str, connection: str) -> Kicked:
        """Ends one connection. That is no sign-out: the user's others stay, and the token is good."""
        return await self._do(calls.kick_connection(user, connection))

    async def key(self) -> Key:
        """What the API key may do."""
        return await self._do(calls.key())

    async def overview(self, *, since: int | None = None) -> dict[str, Any]:
        """The broker in numbers, now and over the last hour, as ``docs/http.md`` has them: for its operator."""
        return await self._do(calls.overview(since))

    def events(
        self, channel: str, *, level: Level | None = None, cursor: str | None = None
    ) -> AsyncIterator[StreamEvent]:
        """What becomes of a channel, as server-sent events, without end: a stream that is cut is begun again.

        ``cursor``: of the last event that you have had; the stream goes on behind it, if what was missed is
        still there, and begins anew with a snapshot otherwise, which has all members however many parts it came
        in. A refusal is raised.
        """
        return self._stream(calls.events_path(channel), calls.query_of(level=level), cursor)

    def all_events(self, patterns: Sequence[str], *, level: Level | None = None) -> AsyncIterator[StreamEvent]:
        """The same of all channels that match: ``room-*`` (an API key's question). It has no cursor."""
        return self._stream("/v1/events", calls.query_of(channels=",".join(patterns), level=level), None)

    def user_events(self, user: str) -> AsyncIterator[StreamEvent]:
        """What becomes of a user's status: it as it is, and each change.

        It has no cursor, since the first event says all.
        """
        return self._stream(calls.user_events_path(user), {}, None)

    async def _stream(self, path: str, query: dict[str, str], cursor: str | None) -> AsyncIterator[StreamEvent]:
        failures = 0
        if self._user:
            query = {**query, "user": self._user}
        while True:
            decoder = Decoder(cursor)
            error: HerenowError | None = None
            try:
                headers = {"Accept": "text/event-stream", **({"Last-Event-ID": cursor} if cursor else {})}
                timeout = httpx.Timeout(10.0, read=_SILENCE_S)
                async with self._client.stream("GET", path, params=query, headers=headers, timeout=timeout) as response:
                    if response.status_code != 200:
                        await response.aread()
                        error = calls.problem(_answer(response))
                        if response.status_code not in (429, 502, 503, 504):
                            raise error
                    else:
                        async for chunk in response.aiter_bytes():
                            for event in decoder.feed(chunk):
                                failures = 0
                                yield event
            except httpx.TransportError:
                pass  # it is begun again
            cursor = decoder.cursor
            wait = random.random() * min(_MAX_RETRY_S, _FIRST_RETRY_S * 2.0**failures)
            failures += 1
            if decoder.retry_ms is not None:
                # A broker that goes has spread its readers over this time already.
                wait = decoder.retry_ms / 1_000
            elif error:
                wait = max(wait, (error.retry_after_ms or 0) / 1_000)
            await asyncio.sleep(wait)

    async def _pages(self, page: Callable[[A | None], Call[tuple[list[T], A | None]]]) -> AsyncIterator[T]:
        after: A | None = None
        while True:
            some, after = await self._do(page(after))
            for each in some:
                yield each
            if after is None:
                return

    async def _do(self, call: Call[T]) -> T:
        return _read(call, await self._answer(call))

    async def _answer(self, call: Call[Any]) -> Answer:
        tries = 0
        while True:
            tries += 1
            try:
                answer = _answer(await self._client.request(**_request(call, self._user)))
                if answer.status < 400:
                    return answer
                error = calls.problem(answer)
            except httpx.TransportError as cause:
                error = _unreachable(cause)
            wait = calls.wait_before(call, tries, error)
            if wait is None:
                raise error
            await asyncio.sleep(wait)


class AsyncLease:
    """A lease that renews itself while an ``async with`` is open. Made by :meth:`AsyncApi.lease`."""

    def __init__(self, api: AsyncApi, wish: _Wish) -> None:
        self._api = api
        self._wish = wish
        # A renewal and a write are one after the other, so that none takes back what the other said.
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self.error: HerenowError | None = None
        """Why the last renewal failed; None if it did not."""

    async def __aenter__(self) -> AsyncLease:
        leased = await self._api._do(self._wish.first())
        self._task = asyncio.get_running_loop().create_task(self._renew(leased.heartbeat))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._api._do(self._wish.end())

    async def set_attributes(self, patch: Attributes) -> LeasedMember:
        """Sets some attributes and keeps the others; a None takes a key away."""
        async with self._turn:
            return await self._api._do(self._wish.write(patch))

    async def _renew(self, beat: Heartbeat) -> None:
        while True:
            await asyncio.sleep(beat.interval_ms / 1_000)
            try:
                async with self._turn:
                    call = self._wish.again()
                    answer = await self._api._answer(call)
                    # It had run out.
                    if answer.status == 201 and self._wish.attributes:
                        call = self._wish.first()
                        answer = await self._api._answer(call)
                beat = _read(call, answer).heartbeat
                self.error = None
            except HerenowError as error:
                self.error = error
