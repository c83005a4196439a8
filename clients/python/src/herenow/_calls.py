"""What can be asked over HTTP, as values: how it is asked, and what of the answer is wanted."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
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
    given: dict[str, Any] = {
        "attributes": None if attributes is None else copied(attributes, "attributes"),
        "merge": merge or None,
        "visibleTo": None if visible_to is None else list(visible_to),
        "away": away,
        "ttlMs": ttl_ms,
    }
    body = {name: value for name, value in given.items() if value is not None}
    return Call("PUT", _member(name, user), _leased, body=body)


def _leased(told: Any) -> LeasedMember:
    beat = told["heartbeat"]
    return LeasedMember(
        channel=told["channel"],
        user=told["user"],
        attributes=told["attributes"],
        joined_at=told["joinedAt"],
        visible_to=tuple(told.get("visibleTo", ())),
        heartbeat=Heartbeat(beat["intervalMs"], beat["timeoutMs"]),
    )


def end_lease(name: str, user: str) -> Call[None]:
    """Ends a lease."""
    return Call("DELETE", _member(name, user), _nothing)


def status(user: str) -> Call[Status]:
    """A user's status."""
    return Call("GET", f"{_user(user)}/status", Status.of)


def statuses(users: Sequence[str]) -> Call[list[Status]]:
    """The status of up to 100 users, none of whom has a comma in the name."""
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

    def read(told: Any) -> Heartbeat:
        return Heartbeat(told["heartbeat"]["intervalMs"], told["heartbeat"]["timeoutMs"])

    return Call("POST", f"{_user(user)}/heartbeat", read, body={} if away is None else {"away": away})


def end_heartbeat(user: str) -> Call[None]:
    """Online by heartbeats no longer."""
    return Call("DELETE", f"{_user(user)}/heartbeat", _nothing)


def kick(user: str, keep_leases: bool) -> Call[Kicked]:
    """Signs a user out. A second time it would hit whoever has signed in again meanwhile."""

    def read(told: Any) -> Kicked:
        return Kicked(told["user"], told["closed"], bool(told.get("partial")))

    query = {"leases": "keep"} if keep_leases else {}
    return Call("DELETE", f"{_user(user)}/connections", read, query, harmless=False)


def _nothing(_: Any) -> None:
    return None


def events_path(name: str) -> str:
    """Of the stream of one channel."""
    return f"{_channel(name)}/events"


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
