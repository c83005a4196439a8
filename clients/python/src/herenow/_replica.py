"""A channel as one subscriber knows it: a fold of pure functions over the broker's frames.

No socket and no clock, and nothing here changes what it was given. A replica and a frame go in; the
next replica comes out, and what truly changed for whoever looks at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ._json import Attributes, same

Kind = Literal["join", "leave", "timeout", "updateAttributes"]
Frame = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Member:
    """A user who is present in a channel. Its objects are shared: read them, and copy what you change."""

    user: str
    attributes: Attributes = field(default_factory=dict)
    """What the member carries."""
    info: Attributes | None = None
    """What the user's token says: name, avatar and the like."""
    away: bool = False
    """Whether the user is away from all its windows and devices."""
    joined_at: int | None = None
    """In milliseconds since 1970, by the broker's clock; None if that was not told."""


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one member."""

    event: Kind
    user: str
    before: Member | None = None
    """None for somebody who came."""
    after: Member | None = None
    """None for somebody who went."""
    reason: str | None = None
    last_seen: int | None = None
    at: int | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """Of a snapshot that is still coming."""

    epoch: str
    seq: int
    sight: str | None
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Replica:
    """What is known of a channel."""

    epoch: str | None = None
    """The history that ``seq`` counts in; None if only a snapshot will do."""
    seq: int = 0
    told: int = 0
    """The broker's count, which is told and never counted."""
    level: Literal["events", "count"] | None = None
    """The one in force; None until anything is known."""
    live: bool = False
    """Whether presence frames can be applied."""
    members: Mapping[str, Member] = field(default_factory=dict)
    """Oldest first; at level ``count`` only the newest."""
    missing: Mapping[str, Member] = field(default_factory=dict)
    """Those among them whom the history that ended knew and the new one does not know yet: after a
    restart everybody comes back one by one, and nobody has left."""
    partial: bool = False
    """The broker's node does not know yet whom other nodes have."""
    sight: str | None = None
    """Whom we could see when the last snapshot came, as the broker names it."""
    parts: Parts | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What a frame did."""

    replica: Replica
    changes: tuple[Change, ...] = ()
    gap: bool = False
    """A frame is missing, and only a snapshot heals it."""


NOTHING = Replica()


def count(replica: Replica) -> int:
    """How many are here, those included who are missing for now."""
    return replica.told + len(replica.missing)


def newest_first(replica: Replica) -> tuple[Member, ...]:
    """The members, the newest first."""
    return tuple(replica.members.values())[::-1]


def since(replica: Replica) -> dict[str, Any] | None:
    """What ``since`` a subscribe should have, if any."""
    if replica.epoch is None:
        return None
    place: dict[str, Any] = {"epoch": replica.epoch, "seq": replica.seq}
    return place if replica.sight is None else {**place, "sight": replica.sight}


def interrupted(replica: Replica) -> Step:
    """The connection is lost: what was half told will never be finished."""
    return Step(replace(replica, live=False, parts=None))


def resumed(replica: Replica) -> Step:
    """The broker goes on where we were."""
    return Step(replace(replica, live=True))


def settle(replica: Replica) -> Step:
    """Whoever is still missing has gone, unless the broker does not know."""
    if replica.partial:
        return Step(replica)
    here = {user: member for user, member in replica.members.items() if user not in replica.missing}
    gone = tuple(_left(member) for member in replica.missing.values())
    return Step(replace(replica, members=here, missing={}), gone)


def apply(replica: Replica, frame: Frame, sight: str | None = None) -> Step:
    """The next replica. ``sight``: the connection's."""
    kind = frame.get("type")
    if kind == "presence":
        return _presence(replica, frame)
    if kind == "snapshot":
        return _snapshot(replica, frame, sight)
    if kind == "count":
        return _counted(replica, frame)
    return Step(replica)  # also `level`: what comes behind it says as much


def member_of(told: Frame) -> Member:
    """One of a list of members."""
    return Member(
        user=told["user"],
        attributes=told.get("attributes") or {},
        info=told.get("info"),
        away=bool(told.get("away")),
        joined_at=told.get("joinedAt"),
    )


def _snapshot(replica: Replica, frame: Frame, sight: str | None) -> Step:
    epoch, seq = frame["epoch"], frame["seq"]
    before = replica.parts
    if before is None or (before.epoch, before.seq) != (epoch, seq):
        before = Parts(epoch, seq, sight, ())
    listed = (*before.members, *map(member_of, frame["members"]))
    # As it was at the first part: fresh roles that came since bring a snapshot of their own.
    seen = before.sight
    if frame.get("more"):
        return Step(replace(replica, parts=Parts(epoch, seq, seen, listed)))

    # Of a member that is in two parts the later counts: it was made later.
    named = {member.user: member for member in listed}
    here = dict(reversed(named.items()))
    partial = bool(frame.get("partial"))
    # Of another history that is to come, or as far as one node of a cluster knows: who is not in it yet
    # may still be on the way, or be there all the same.
    may_miss = partial or epoch != (replica.epoch or epoch)
    absent = {user: member for user, member in replica.members.items() if user not in here}
    missing = {
        user: member for user, member in absent.items() if may_miss or (not replica.partial and user in replica.missing)
    }
    after = Replica(
        epoch=epoch,
        seq=seq,
        told=frame["count"],
        level="events",
        live=True,
        members={**missing, **here},
        missing=missing,
        partial=partial,
        sight=seen,
    )
    # What was known at level `count` was not the whole: nothing to compare with.
    if replica.level != "events":
        return Step(after)
    changes = [_left(member) for user, member in absent.items() if user not in missing]
    for user, member in here.items():
        changes += _arrival(replica.members.get(user), member)
    # Nor was what one node of a cluster knew: whoever is named now may have been there all the while.
    return Step(after, tuple(each for each in changes if not (replica.partial and each.event == "join")))


def _presence(replica: Replica, frame: Frame) -> Step:
    if not replica.live or replica.level != "events":
        return Step(replica)
    seq = frame["seq"]
    # A frame about members whom not everyone may see repeats the seq instead of advancing it.
    if seq > replica.seq + 1:
        return Step(replace(replica, live=False, epoch=None), gap=True)
    members = dict(replica.members)
    missing = dict(replica.missing)
    changes: list[Change] = []
    for event in frame["events"]:
        changes += _happen(members, missing, event)
    after = replace(replica, seq=seq, told=frame["count"], members=members, missing=missing)
    return Step(after, tuple(changes))


def _happen(members: dict[str, Member], missing: dict[str, Member], event: Frame) -> list[Change]:
    """What becomes of one member.

    On a slow connection entries of a snapshot may be newer than its seq, and what follows tells some of it
    again: a join of somebody known is a change, if it is one, and what becomes of somebody unknown is
    nothing.
    """
    kind, user = event.get("event"), event["user"]
    before = members.get(user)
    if kind == "join":
        after = Member(
            user,
            event.get("attributes") or {},
            event.get("info"),
            bool(event.get("away")),
            event.get("joinedAt", event.get("at")),
        )
        missing.pop(user, None)
        # A newcomer goes to the end.
        members.pop(user, None)
        members[user] = after
        return _arrival(before, after)
    if before is None:
        return []
    at = event.get("at")
    if kind == "updateAttributes":
        missing.pop(user, None)
        after = Member(
            user,
            event.get("attributes") or {},
            event.get("info", before.info),
            bool(event.get("away", before.away)),
            event.get("joinedAt", before.joined_at),
        )
        if "joinedAt" in event:
            members.pop(user)
        members[user] = after
        return [Change("updateAttributes", user, before, after, event.get("reason"), None, at)]
    if kind == "leave" or kind == "timeout":
        missing.pop(user, None)
        del members[user]
        return [Change(kind, user, before, None, event.get("reason"), event.get("lastSeen"), at)]
    return []  # a newer broker's event


def _counted(replica: Replica, frame: Frame) -> Step:
    """At this level the list is not known, so it is forgotten, and there is nothing to resume."""
    named = {told["user"]: member_of(told) for told in reversed(frame.get("recent") or [])}
    return Step(Replica(seq=replica.seq, told=frame["count"], level="count", live=True, members=named))


def _arrival(before: Member | None, after: Member) -> list[Change]:
    """Somebody is here who was not, or who was and may be changed."""
    if before is None:
        return [Change("join", after.user, None, after, at=after.joined_at)]
    return [] if _looks_same(before, after) else [Change("updateAttributes", after.user, before, after)]


def _left(before: Member) -> Change:
    """Gone meanwhile; nobody told why."""
    return Change("leave", before.user, before)


def _looks_same(one: Member, other: Member) -> bool:
    """Whether nothing differs that can be seen. No ``info`` is as good as an empty one."""
    return one.away == other.away and same(one.attributes, other.attributes) and same(one.info or {}, other.info or {})
