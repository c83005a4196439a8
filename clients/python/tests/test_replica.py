"""The replica against the protocol's golden sequences."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from herenow import _replica as replica

from .conftest import REPOSITORY

VECTORS: list[dict[str, Any]] = json.loads((REPOSITORY / "protocol/vectors/replica.json").read_text())
SERVER: list[dict[str, Any]] = json.loads((REPOSITORY / "protocol/vectors/server.json").read_text())


def fold(
    frames: Iterable[dict[str, Any]], now: replica.Replica = replica.NOTHING
) -> tuple[replica.Replica, list[replica.Change]]:
    """Folds frames as a channel does, but for the answers of a subscribe."""
    changes: list[replica.Change] = []
    for frame in frames:
        if frame["type"] == "welcome":
            now = replica.interrupted(now).replica
        if frame["type"] == "ok" and frame.get("resumed"):
            now = replica.resumed(now).replica
        step = replica.apply(now, frame)
        now = step.replica
        changes += step.changes
    return now, changes


@pytest.mark.parametrize("vector", VECTORS, ids=[each["name"] for each in VECTORS])
def test_golden_sequences(vector: dict[str, Any]) -> None:
    """What a subscriber receives comes to what it is to know."""
    before = json.dumps(vector["frames"])
    # In the end: whom a history that ended knew has gone by then.
    now = replica.settle(fold(vector["frames"])[0]).replica
    listed = [] if now.level == "count" else list(now.members.values())
    expect = vector["expect"]
    assert now.seq == expect["seq"]
    assert replica.count(now) == expect["count"]
    assert {member.user: member.attributes for member in listed} == expect["members"]
    if "away" in vector:
        assert sorted(member.user for member in listed if member.away) == vector["away"]
    if "info" in expect:
        assert {member.user: member.info for member in listed if member.info} == expect["info"]
    assert json.dumps(vector["frames"]) == before, "a frame was changed"


def test_all_sequences_are_there() -> None:
    """A file that shrank would be tested all the same."""
    assert len(VECTORS) > 40


@pytest.mark.parametrize("vector", SERVER, ids=[each["name"] for each in SERVER])
def test_no_frame_of_the_broker_is_too_much(vector: dict[str, Any]) -> None:
    """Whatever may come can be read, in any state."""
    snapshot = {"type": "snapshot", "epoch": "e", "seq": 1, "count": 0, "members": []}
    for start in (replica.NOTHING, replica.apply(replica.NOTHING, snapshot).replica):
        replica.apply(start, vector["frame"])


def test_changes_are_told_once() -> None:
    """An update says what was before; a snapshot that says the same says nothing."""
    member = {"user": "bob", "attributes": {"n": 1}, "joinedAt": 1}
    snapshot = {"type": "snapshot", "epoch": "e", "seq": 1, "count": 1, "members": [member]}
    update = {"event": "updateAttributes", "user": "bob", "attributes": {"n": 2}, "at": 2}
    now, changes = fold([snapshot, snapshot, {"type": "presence", "seq": 2, "count": 1, "events": [update]}])
    assert [(each.event, each.before and each.before.attributes) for each in changes] == [
        ("updateAttributes", {"n": 1})
    ]
    # One, one with a point, and true are equal in Python.
    for value, told in ((2.0, 1), (True, 1), (2, 0)):
        again = {**snapshot, "seq": 2, "members": [{**member, "attributes": {"n": value}}]}
        assert len(replica.apply(now, again).changes) == told
