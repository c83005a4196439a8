"""What the broker says first, and what a client says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

from ._error import HerenowError

Phase = Literal["idle", "connecting", "open", "waiting", "closed"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class State:
    """How a client's connection stands."""

    phase: Phase
    """``idle``: not dialled yet, since nothing is wanted so far; ``connecting``: no welcome yet; ``open``;
    ``waiting``: lost, and dials again; ``closed``: by us (``error.code`` is ``closed``), or by a broker that
    said not to come back."""
    retry_at: float | None = None
    """While ``waiting``: when the next attempt begins, by ``time.time()``."""
    error: HerenowError | None = None
    """Why, while ``waiting`` or ``closed``."""


@dataclass(frozen=True, slots=True)
class Server:
    """Who answers."""

    name: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """How often a heartbeat is wanted, and what silence ends a membership."""

    interval_ms: int = 30_000
    timeout_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What the broker allows."""

    message_bytes: int = 16_384
    """Of one message from us."""
    attribute_bytes: int = 4_096
    """Of a member's attributes, as canonical JSON."""
    attribute_keys: int = 64
    """At their top level."""
    name_bytes: int = 200
    """Of a channel's or user's name."""
    channels: int = 128
    """Joined or subscribed by one connection."""
    watches: int = 256
    """Users watched by one connection."""
    members: int = 100_000
    """Of one channel."""
    frames_per_second: int = 50
    """In the long run."""
    frames_burst: int = 300
    """At once."""
    grace_ms: int = 60_000
    """At most."""
    ttl_ms: int = 3_600_000
    """At most."""
    list: int = 1_000
    """The largest ``limit`` of ``get_members``."""
    roster: int = 1_000
    """With more members, ``auto`` means ``count``."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """What the broker says first. Times are in milliseconds."""

    protocol: int
    """Its version: 1."""
    connection: str
    """This connection's id."""
    user: str
    """Who we are."""
    server: Server
    heartbeat: Heartbeat
    limits: Limits
    sight: str | None
    """Whom we may see, as a text to compare."""
    now: int
    """The broker's wall clock, since 1970."""

    @classmethod
    def of(cls, frame: Mapping[str, Any]) -> Welcome:
        """What a ``welcome`` frame says."""
        return cls(
            protocol=frame["protocol"],
            connection=frame.get("connection", ""),
            user=frame["user"],
            server=_read(Server, frame.get("server")),
            heartbeat=_read(Heartbeat, frame.get("heartbeat")),
            limits=_read(Limits, frame.get("limits")),
            sight=frame.get("sight"),
            now=frame["now"],
        )


def _read(shape: type[T], told: Mapping[str, Any] | None) -> T:
    """What is known of a shape; a newer broker may say more."""
    told = told or {}
    names = {each.name: camel(each.name) for each in fields(shape)}  # type: ignore[arg-type]
    return shape(**{name: told[wire] for name, wire in names.items() if wire in told})


def camel(name: str) -> str:
    """A name of ours as the wire has it."""
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))
