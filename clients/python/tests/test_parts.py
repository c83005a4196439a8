"""The parts of the client that need no broker."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from herenow import HerenowError
from herenow._address import socket_address, with_user
from herenow._carried import Carried
from herenow._clock import Clock
from herenow._emitter import Emitter
from herenow._json import copied, same
from herenow._link import retry_delay
from herenow._outbox import Outbox
from herenow._stream import Decoder

from .conftest import REPOSITORY, run, until


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("ws://h", "ws://h/ws"),
        ("https://h/", "wss://h/ws"),
        ("wss://h:8443/at/ws?x=1#y", "wss://h:8443/at/ws?x=1"),
        ("HTTP://[::1]:80", "ws://[::1]:80/ws"),
    ],
)
def test_addresses(url: str, address: str) -> None:
    """An address of the page's is as good as that of the WebSocket."""
    assert socket_address(url) == address


@pytest.mark.parametrize("url", ["", "h", "ftp://h", "ws://", "ws:///ws", "ws://h h", "/ws"])
def test_what_is_no_address(url: str) -> None:
    """It is told when the client is made."""
    with pytest.raises(HerenowError, match="invalid_url"):
        socket_address(url)


def test_a_user_counts_before_another() -> None:
    """One that the address names already."""
    assert with_user("ws://h/ws?user=bob", "a&b c") == "ws://h/ws?user=a%26b%20c&user=bob"


ITSELF: dict[str, Any] = {}
ITSELF["itself"] = ITSELF


@pytest.mark.parametrize(
    "value",
    [
        {"n": math.nan},
        {"n": math.inf},
        {"n": 10**400},
        {"s": "\ud800"},
        {1: 2},
        {"n": {None: 1}},
        {"o": object()},
        {"b": b""},
        {"s": {1}},
        ITSELF,
        [1],
        "x",
        None,
    ],
)
def test_what_json_cannot_say(value: Any) -> None:
    """It is refused here, and not sent to be refused without a word of whose it was."""
    with pytest.raises(HerenowError, match="invalid_attributes") as refused:
        copied(value, "attributes")
    assert refused.value.field == "attributes"


def test_copies_are_ones_own() -> None:
    """What the program does to its object later changes nothing."""
    mine = {"list": [1, (2, {"n": 3})], "big": 2**63}
    copy = copied(mine, "attributes")
    mine["list"] = []
    assert copy == {"list": [1, [2, {"n": 3}]], "big": 2**63}


def test_what_is_the_same() -> None:
    """As JSON has it, and not as Python."""
    assert same({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]})
    for one, other in ((1, True), (1, 1.0), (0, False), ([1], [1, 2]), ({"a": 1}, {"b": 1}), ({}, [])):
        assert not same(one, other)


def test_a_sleep_counts() -> None:
    """A monotonic clock that stood still while the machine slept, beside a wall clock that went on."""
    steady, wall = 100.0, 1_000.0
    clock = Clock(lambda: steady, lambda: wall)
    begun = clock()
    steady, wall = 101.0, 1_001.0
    assert clock() - begun == 1_000
    steady, wall = 102.0, 4_602.0  # an hour of sleep
    assert clock() - begun == pytest.approx(3_602_000)
    wall = 1_000.0  # set back
    assert clock() - begun == pytest.approx(3_602_000)


def test_a_key_that_ended_while_nobody_could_hear() -> None:
    """It is not said again, and nothing of it is left."""
    carried = Carried()
    carried.set({"mood": "happy"})
    carried.set({"typing": True}, until=100)
    for said in carried.say(0, joins=True):
        said.settle(None)
    (again,) = carried.say(200, joins=True)
    assert again.attributes == {"mood": "happy"}
    assert again.merge


def test_a_refusal_is_that_of_all_that_were_folded() -> None:
    """Whoever wrote into the frame learns it, and the broker's values hold."""
    carried = Carried()
    told: list[HerenowError | None] = []
    carried.set({"n": 1})
    carried.say(0)[0].settle(None)
    for n in (2, 3):
        carried.set({"n": n}, settle=lambda error, _=None, /: told.append(error))
    (said,) = carried.say(0)
    assert said.attributes == {"n": 3}
    said.settle(HerenowError("too_large", "no"))
    assert [error and error.code for error in told] == ["too_large", "too_large"]
    assert carried.say(0, joins=True)[0].attributes == {"n": 1}


def test_waits_are_random_and_bounded() -> None:
    """Full jitter: from nothing to a bound that doubles up to the longest."""
    assert [retry_delay(n, 1_000, 10_000, lambda: 1.0) for n in range(6)] == [
        1_000,
        2_000,
        4_000,
        8_000,
        10_000,
        10_000,
    ]
    assert retry_delay(10**6, 1_000, 10_000, lambda: 0.0) == 0


def test_an_outbox_asks_when_the_turn_comes() -> None:
    """No frames wait but topics, and what is said is the newest."""

    async def main() -> None:
        sent: list[str] = []
        outbox = Outbox(100, 1, sent.append)
        value = "old"
        outbox.post("first", lambda: ["first"])
        outbox.post("topic", lambda: [value])
        assert sent == ["first"]
        value = "new"
        outbox.post("topic", lambda: [value])
        await until("its turn", lambda: len(sent) > 1)
        assert sent == ["first", "new"]
        # One that fails holds up nobody.
        outbox.post("next", lambda: ["next"])
        await until("the next", lambda: len(sent) > 2)
        outbox.close()
        outbox.post("late", lambda: ["late"])
        assert len(sent) == 3

    run(main())


def test_listeners() -> None:
    """One that is given twice hears twice, and each removal takes one of the two."""
    emitter = Emitter()
    heard: list[int] = []
    stop = emitter._on("event", heard.append)
    emitter._on("event", heard.append)
    emitter.emit("event", 1)
    emitter.off("event", heard.append)
    emitter.emit("event", 2)
    stop()
    emitter.emit("event", 3)
    assert heard == [1, 1, 2]


def test_frames_of_the_protocol_can_be_said() -> None:
    """Whatever a client may send survives our copies."""
    for vector in json.loads((REPOSITORY / "protocol/vectors/client-good.json").read_text()):
        assert same(copied(vector["frame"], "frame"), vector["frame"])


def test_a_stream_in_pieces() -> None:
    """However the bytes come: whole events, with the last place to come back to."""
    text = (
        ":\n\n"
        'id: e.1\ndata: {"text":"a line\u2028that is one"}\n\n'
        'data: {"more":true}\n\n'
        'id: \r\ndata: {"count":1}\r\n\r\n'
        'retry: 1500\ndata: {"last":1}\n\n'
    ).encode()
    for size in (1, 2, 7, 1_000):
        decoder = Decoder()
        events = [event for n in range(0, len(text), size) for event in decoder.feed(text[n : n + size])]
        assert [event.cursor for event in events] == ["e.1", "e.1", None, None]
        assert events[0].frame == {"text": "a line\u2028that is one"}
        assert decoder.retry_ms == 1_500


def test_a_snapshot_in_parts() -> None:
    """One event, with a member that stands in two parts as the later has it. What was cut off is forgotten."""

    def part(seq: int, *members: tuple[str, int], more: bool) -> bytes:
        listed = [{"user": user, "attributes": {"n": n}} for user, n in members]
        frame = {"type": "snapshot", "channel": "room", "epoch": "e", "seq": seq, "members": listed}
        return f"data: {json.dumps({**frame, 'more': True} if more else frame)}\n\n".encode()

    def told(decoder: Decoder, *parts: bytes) -> list[list[tuple[str, int]]]:
        events = list(decoder.feed(b"".join(parts)))
        assert not any("more" in event.frame for event in events)
        return [[(each["user"], each["attributes"]["n"]) for each in event.frame["members"]] for event in events]

    first = part(1, ("ada", 1), ("bob", 1), more=True)
    assert told(Decoder(), first, part(1, ("bob", 2), ("cy", 1), more=False)) == [[("ada", 1), ("bob", 2), ("cy", 1)]]
    assert told(Decoder(), first, part(2, ("cy", 1), more=False)) == [[("cy", 1)]]
    assert told(Decoder(), first, part(1, more=False), part(1, ("cy", 1), more=False)) == [
        [("ada", 1), ("bob", 1)],
        [("cy", 1)],
    ]
