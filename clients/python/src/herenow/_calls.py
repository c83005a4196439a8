"""What can be asked over HTTP, as values: how it is asked, and what of the answer is wanted."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

from ._client import UNSET, Unset
from ._error import HerenowError
from ._json import Attributes, copied
from ._replica import Member, member_of
from ._shapes import Heartbeat
from ._user import Status

T = TypeVar("T")

_TRIES = 4
"""So often a request is made that may be made again."""
_FIRST_WAIT_S = 0.2
_MAX_WAIT_S = 10.0
"""Whoever is told to come back later than that is told so."""
MAX_NAMES = 100
"""So many channels or users may be named in one question."""
NAMES_BYTES = 8 * 1024
"""So long may a list of names be in an address: of a request's head the broker reads 16 KiB."""
MAX_LEASES = 1_000
"""So many leases may be asked for at once."""
LEASES_BYTES = 1024 * 1024
"""So long may a request be that does so."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request."""

    method: str
    path: str
    read: Callable[[Any], T]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    harmless: bool = True
    """Whether it may be made a second time without doing anything else than once."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class ChannelView:
    """A channel in numbers."""

    channel: str
    count: int
    """Members visible to all."""
    observers: int
    connections: int
    partial: bool = False
    """Of a cluster's other nodes not everything is known."""


@dataclass(frozen=True, slots=True)
class ChannelCount:
    """A channel that somebody is in."""

    channel: str
    count: int


@dataclass(frozen=True, slots=True)
class Source:
    """Something that keeps a member present."""

    kind: Literal["connection", "lease", "node"]
    connection: str | None = None
    """Which connection of this node."""
    node: str | None = None
    """Which other node, where the user has a source of its own."""
    last_seen: int | None = None
    """When it was last heard, in milliseconds since 1970; None: another node knows."""
    lost: bool = False
    """The connection is lost, and its grace runs."""


@dataclass(frozen=True, slots=True)
class KeptMember:
    """A member, and what keeps it present."""

    member: Member
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Connection:
    """One of a user's connections."""

    connection: str
    """Its name, as ``welcome`` told its client."""
    channels: tuple[str, ...]
    """Where it keeps the user present."""
    last_seen: int | None = None
    """When it was last heard, in milliseconds since 1970; None: it has just gone."""


@dataclass(frozen=True, slots=True)
class Key:
    """What an API key may do."""

    name: str | None
    """None in open mode, where nobody needs a key."""
    rights: tuple[str, ...]
    """Of ``read``, ``write`` and ``kick``."""


@dataclass(frozen=True, slots=True)
class LeasedMember:
    """A member whom a lease keeps present."""

    channel: str
    user: str
    attributes: Attributes
    joined_at: int
    visible_to: tuple[str, ...]
    heartbeat: Heartbeat
    """How often to ask again, and when the lease runs out."""


@dataclass(frozen=True, slots=True)
class TakeLease:
    """One of many leases, to take or to refresh. What is absent stays as it is."""

    channel: str
    user: str
    attributes: Attributes | None = None
    merge: bool = False
    """Whether other attributes of the member stay; a None takes a key away."""
    visible_to: Sequence[str] | None = None
    away: bool | None = None
    ttl_ms: int | None = None


@dataclass(frozen=True, slots=True)
class EndLease:
    """One of many leases, to end."""

    channel: str
    user: str


@dataclass(frozen=True, slots=True)
class LeaseAnswer:
    """What became of one of many leases."""

    status: int | None
    """As of one alone. 201: the user is present now. 200: it was already. 204: there is no lease now. None: nobody
    answered."""
    heartbeat: Heartbeat | None = None
    """How often to ask again, and when the lease runs out."""
    error: HerenowError | None = None
    """Why not; None if it was done."""


@dataclass(frozen=True, slots=True)
class Kicked:
    """What a sign-out ended."""

    user: str
    closed: int
    """Connections."""
    partial: bool = False
    """A node of the cluster did not answer in time."""


def _part(name: str) -> str:
    return quote(name, safe="")


def _channel(name: str) -> str:
    return f"/v1/channels/{_part(name)}"


def _user(name: str) -> str:
    return f"/v1/users/{_part(name)}"


def _member(channel: str, user: str) -> str:
    return f"{_channel(channel)}/members/{_part(user)}"


def query_of(**given: str | int | None) -> dict[str, str]:
    """A query without what is absent."""
    return {name: str(value) for name, value in given.items() if value is not None}


def count(channel: str) -> Call[int]:
    """The number of members."""
    return Call("GET", f"{_channel(channel)}/count", lambda answer: int(answer["count"]))


def counts(names: Sequence[str]) -> Call[dict[str, int]]:
    """The numbers of members of several channels, none of which has a comma in the name."""

    def read(told: Any) -> dict[str, int]:
        return {each["channel"]: int(each["count"]) for each in told["channels"]}

    return Call("GET", "/v1/counts", read, {"channels": ",".join(names)})


def name_batches(names: Iterable[str]) -> tuple[list[list[str]], list[str]]:
    """As the lists that they are asked for in, and those whose comma would split such a list: one by one."""
    batches: list[list[str]] = []
    odd: list[str] = []
    size = NAMES_BYTES
    for name in names:
        if "," in name:
            odd.append(name)
            continue
        length = len(_part(name)) + len("%2C")
        if size + length > NAMES_BYTES or len(batches[-1]) == MAX_NAMES:
            batches.append([])
            size = 0
        batches[-1].append(name)
        size += length
    return batches, odd


def channel(name: str) -> Call[ChannelView]:
    """A channel in numbers."""

    def read(told: Any) -> ChannelView:
        return ChannelView(
            told["channel"], told["count"], told["observers"], told["connections"], bool(told.get("partial"))
        )

    return Call("GET", _channel(name), read)


def channels(prefix: str | None, limit: int | None, after: str | None) -> Call[tuple[list[ChannelCount], str | None]]:
    """One page of the channels that somebody is in."""

    def read(told: Any) -> tuple[list[ChannelCount], str | None]:
        return [ChannelCount(each["channel"], each["count"]) for each in told["channels"]], told.get("next")

    return Call("GET", "/v1/channels", read, query_of(prefix=prefix, limit=limit, after=after))


def largest_channels(
    prefix: str | None, limit: int | None, after: tuple[str, int] | None
) -> Call[tuple[list[ChannelCount], tuple[str, int] | None]]:
    """One page of them. What comes next is behind the last channel and its number of members."""

    def read(told: Any) -> tuple[list[ChannelCount], tuple[str, int] | None]:
        some = [ChannelCount(each["channel"], each["count"]) for each in told["channels"]]
        return some, (told["next"], some[-1].count) if "next" in told else None

    behind, below = after or (None, None)
    return Call(
        "GET", "/v1/channels", read, query_of(order="size", prefix=prefix, limit=limit, after=behind, below=below)
    )


def kept_members(name: str, limit: int | None, after: str | None) -> Call[tuple[list[KeptMember], str | None]]:
    """One page of the members with what keeps them present."""

    def read(told: Any) -> tuple[list[KeptMember], str | None]:
        following = told.get("next")
        some = [KeptMember(member_of(each), tuple(map(_source, each["sources"]))) for each in told["members"]]
        return some, None if following is None else str(following)

    return Call("GET", f"{_channel(name)}/members", read, query_of(sources="true", limit=limit, after=after))


def _source(told: Any) -> Source:
    return Source(told["kind"], told.get("connection"), told.get("node"), told.get("lastSeen"), bool(told.get("lost")))


def members(name: str, limit: int | None, after: str | None) -> Call[tuple[list[Member], str | None]]:
    """One page of the members."""

    def read(told: Any) -> tuple[list[Member], str | None]:
        following = told.get("next")
        return [member_of(each) for each in told["members"]], None if following is None else str(following)

    return Call("GET", f"{_channel(name)}/members", read, query_of(limit=limit, after=after))


def member(name: str, user: str) -> Call[Member]:
    """One member."""
    return Call("GET", _member(name, user), member_of)


def channels_of(user: str, limit: int | None, after: str | None) -> Call[tuple[list[str], str | None]]:
    """One page of a user's channels."""
    query = query_of(limit=limit, after=after)
    return Call("GET", f"{_user(user)}/channels", lambda told: (told["channels"], told.get("next")), query)


def take_lease(
    name: str,
    user: str,
    *,
    attributes: Attributes | None = None,
    merge: bool = False,
    visible_to: Sequence[str] | None = None,
    away: bool | None = None,
    ttl_ms: int | None = None,
) -> Call[LeasedMember]:
    """Takes a lease, or asks for it again."""
    body = _lease(attributes, merge, visible_to, away, ttl_ms)
    return Call("PUT", _member(name, user), _leased, body=body)


def _lease(
    attributes: Attributes | None,
    merge: bool,
    visible_to: Sequence[str] | None,
    away: bool | None,
    ttl_ms: int | None,
) -> dict[str, Any]:
    """What is asked for of one lease, without what is absent."""
    given: dict[str, Any] = {
        "attributes": None if attributes is None else copied(attributes, "attributes"),
        "merge": merge or None,
        "visibleTo": None if visible_to is None else list(visible_to),
        "away": away,
        "ttlMs": ttl_ms,
    }
    return {name: value for name, value in given.items() if value is not None}


def _beat(told: Any) -> Heartbeat:
    return Heartbeat(told["heartbeat"]["intervalMs"], told["heartbeat"]["timeoutMs"])


def _leased(told: Any) -> LeasedMember:
    return LeasedMember(
        channel=told["channel"],
        user=told["user"],
        attributes=told["attributes"],
        joined_at=told["joinedAt"],
        visible_to=tuple(told.get("visibleTo", ())),
        heartbeat=_beat(told),
    )


def leases(items: Sequence[dict[str, Any]]) -> Call[list[LeaseAnswer]]:
    """Takes, refreshes and ends many; each has its answer."""

    def read(told: Any) -> list[LeaseAnswer]:
        if len(told["leases"]) != len(items):
            raise ValueError("another number of answers than was asked for")
        return [_lease_answer(each) for each in told["leases"]]

    return Call("POST", "/v1/leases", read, body={"leases": items})


def _lease_answer(told: Any) -> LeaseAnswer:
    status = int(told["status"])
    if "code" in told:
        error = HerenowError(told["code"], told.get("detail", ""), field=told.get("field"), status=status)
        return LeaseAnswer(status, error=error)
    return LeaseAnswer(status, _beat(told) if "heartbeat" in told else None)


def lease_batches(wanted: Iterable[TakeLease | EndLease]) -> list[list[dict[str, Any]]]:
    """As the requests that they take, in their order: no member stands in one request twice."""
    batches: list[list[dict[str, Any]]] = []
    members: set[tuple[str, str]] = set()
    size = LEASES_BYTES
    for each in wanted:
        item: dict[str, Any] = {"channel": each.channel, "user": each.user}
        if isinstance(each, TakeLease):
            item |= _lease(each.attributes, each.merge, each.visible_to, each.away, each.ttl_ms)
        else:
            item["end"] = True
        # No encoding makes more bytes of it than this one.
        length = len(json.dumps(item)) + 2
        member = (each.channel, each.user)
        if size + length > LEASES_BYTES or len(members) == MAX_LEASES or member in members:
            batches.append([])
            members.clear()
            size = len('{"leases": []}')
        batches[-1].append(item)
        members.add(member)
        size += length
    return batches


class LeaseAnswers:
    """The answers to many leases, request by request."""

    def __init__(self) -> None:
        self._answers: list[LeaseAnswer] = []
        self._is_taken = False
        self._error: HerenowError | None = None
        self.is_lost = False
        """Nobody answers: there is no use in asking for the rest."""

    def done(self, answers: list[LeaseAnswer]) -> None:
        """A request was taken."""
        self._answers += answers
        self._is_taken = True

    def failed(self, many: int, error: HerenowError) -> None:
        """A request of so many was not; what stands in it shares its error."""
        self._answers += [LeaseAnswer(error.status, error=error)] * many
        self._error = self._error or error
        self.is_lost = error.status is None

    def lost(self, many: int) -> None:
        """So many are not asked for."""
        assert self._error
        self.failed(many, self._answers[-1].error or self._error)

    def all(self) -> list[LeaseAnswer]:
        """All of them. Raises the error if nothing was taken at all."""
        if self._error and not self._is_taken:
            raise self._error
        return self._answers


def end_lease(name: str, user: str) -> Call[None]:
    """Ends a lease."""
    return Call("DELETE", _member(name, user), _nothing)


def status(user: str) -> Call[Status]:
    """A user's status."""
    return Call("GET", f"{_user(user)}/status", Status.of)


def statuses(users: Sequence[str]) -> Call[list[Status]]:
    """The statuses of several users, none of whom has a comma in the name."""
    query = {"ids": ",".join(users)}
    return Call("GET", "/v1/users/status", lambda told: [Status.of(each) for each in told["users"]], query)


def set_status(
    user: str,
    *,
    busy: bool | Unset = UNSET,
    invisible: bool | Unset = UNSET,
    wait_time: int | Unset | None = UNSET,
    text: str | Unset | None = UNSET,
) -> Call[Status]:
    """Sets a user's status."""
    given = {"busy": busy, "invisible": invisible, "waitTime": wait_time, "text": text}
    patch = {name: value for name, value in given.items() if not isinstance(value, Unset)}
    return Call("PUT", f"{_user(user)}/status", Status.of, body=patch)


def heartbeat(user: str, away: bool | None) -> Call[Heartbeat]:
    """Online without a socket."""
    return Call("POST", f"{_user(user)}/heartbeat", _beat, body={} if away is None else {"away": away})


def end_heartbeat(user: str) -> Call[None]:
    """Online by heartbeats no longer."""
    return Call("DELETE", f"{_user(user)}/heartbeat", _nothing)


def kick(user: str, keep_leases: bool) -> Call[Kicked]:
    """Signs a user out. A second time it would hit whoever has signed in again meanwhile."""
    query = {"leases": "keep"} if keep_leases else {}
    return Call("DELETE", f"{_user(user)}/connections", _kicked, query, harmless=False)


def _kicked(told: Any) -> Kicked:
    return Kicked(told["user"], told["closed"], bool(told.get("partial")))


def connections(user: str, limit: int | None, after: str | None) -> Call[tuple[list[Connection], str | None]]:
    """One page of a user's connections."""

    def read(told: Any) -> tuple[list[Connection], str | None]:
        some = [
            Connection(each["connection"], tuple(each["channels"]), each.get("lastSeen"))
            for each in told["connections"]
        ]
        return some, told.get("next")

    return Call("GET", f"{_user(user)}/connections", read, query_of(limit=limit, after=after))


def kick_connection(user: str, connection: str) -> Call[Kicked]:
    """Ends one. A second time it might hit one that has the name since."""
    return Call("DELETE", f"{_user(user)}/connections/{_part(connection)}", _kicked, harmless=False)


def key() -> Call[Key]:
    """What we may do ourselves."""
    return Call("GET", "/v1/key", lambda told: Key(told.get("name"), tuple(told["rights"])))


def overview(since: int | None) -> Call[dict[str, Any]]:
    """The broker in numbers."""
    return Call("GET", "/v1/overview", dict, query_of(since=since))


def _nothing(_: Any) -> None:
    return None


def events_path(name: str) -> str:
    """Of the stream of one channel."""
    return f"{_channel(name)}/events"


def user_events_path(name: str) -> str:
    """Of the stream of a user's status."""
    return f"{_user(name)}/events"


def problem(answer: Answer) -> HerenowError:
    """A refusal as it is told: problem details, or what stands between."""
    told = answer.body if isinstance(answer.body, dict) else {}
    return HerenowError(
        str(told.get("code", "unexpected")),
        str(told.get("detail", f"HTTP {answer.status}, which is no answer of a herenow broker")),
        field=told.get("field"),
        retry_after_ms=told.get("retryAfterMs"),
        status=answer.status,
    )


def wait_before(call: Call[Any], tries: int, error: HerenowError) -> float | None:
    """For how many seconds to wait before another try. None: there shall be none."""
    # What came too fast was not done, whatever it was.
    may = error.code == "rate_limited" or (call.harmless and (error.status is None or error.status in (502, 503, 504)))
    if not may or tries >= _TRIES:
        return None
    told = (error.retry_after_ms or 0) / 1_000
    if told > _MAX_WAIT_S:
        return None
    return max(told, random.random() * _FIRST_WAIT_S * 2.0**tries)


Level = Literal["auto", "events", "count"]
