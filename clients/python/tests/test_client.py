"""The client against a real broker."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
from functools import partial
from typing import Any

import pytest

import herenow

from .conftest import BROKER, Broker, connect, free_port, run, start_broker, start_wire, until

Lines = list[tuple[str, str, "str | None"]]


def tellings(room: herenow.Channel) -> Lines:
    """What a channel tells, as short lines."""
    lines: Lines = []

    def hear(event: herenow.PresenceEvent) -> None:
        lines.append((event.event, event.user, event.reason))

    kinds: tuple[herenow.Kind, ...] = ("join", "leave", "timeout", "updateAttributes")
    for kind in kinds:
        room.on(kind, hear)
    return lines


def state(members: Any) -> list[tuple[str, Any]]:
    """Who is there, with what."""
    return sorted((member.user, member.attributes) for member in members)


def is_as(room: herenow.Channel, truth: herenow.Page) -> bool:
    """Whether a replica is what a read shows."""
    return room.live and room.count == truth.count and state(room.members) == state(truth.members)


def test_what_is_shown_is_so(broker: Broker) -> None:
    """Two users see each other come, change and go."""

    async def main() -> None:
        async with connect(broker.url, "ada") as ada, connect(broker.url, "bob") as bob:
            room = ada.channel("shown")
            assert room is ada.channel("shown")
            lines = tellings(room)
            await asyncio.gather(room.subscribe(), room.join({"mood": "happy"}))
            assert room.self
            assert room.self.attributes == {"mood": "happy"}
            theirs = bob.channel("shown")
            await theirs.join({"n": 2**60 + 1})
            await theirs.set_attributes({"typing": True}, ttl_ms=50)
            await until("typing ends", lambda: ("updateAttributes", "bob", "expired") in lines)
            member = room.get("bob")
            assert member
            assert member.attributes == {"n": 2**60 + 1}
            assert [each.user for each in room.members] == ["bob", "ada"]
            await theirs.leave()
            await until("bob leaves", lambda: room.count == 1)
            assert lines[-1] == ("leave", "bob", "left")
            assert await ada.get_channels() == ["shown"]
            assert (await room.get_members()).count == await room.get_count() == 1
            assert [each.user async for each in room.all_members()] == ["ada"]
            with pytest.raises(herenow.HerenowError, match="not_found"):
                await room.get_attributes("bob")

    run(main())


def test_short_losses_are_nobody_s_business(broker: Broker) -> None:
    """Three hundred of them, and an observer hears of none."""

    async def main() -> None:
        wire = await start_wire(broker)
        people, rounds = 20, 15
        observer = connect(broker.url, "observer")
        room = observer.channel("losses")
        await room.subscribe()
        clients = [connect(wire.url, f"user-{n}") for n in range(people)]
        rooms = [each.channel("losses") for each in clients]
        await asyncio.gather(*(each.join({"n": n}) for n, each in enumerate(rooms)))
        await asyncio.gather(*(each.subscribe() for each in rooms[:5]))
        await until("all are there", lambda: all(each.count == people for each in [room, *rooms[:5]]))
        observed = [tellings(each) for each in [room, *rooms[:5]]]
        losses = 0

        def lost(now: herenow.State) -> None:
            nonlocal losses
            losses += now.phase == "waiting"

        def has_lost(so_many: int) -> bool:
            return losses >= so_many

        for each in clients:
            each.on("state", lost)
        for n in range(1, rounds + 1):
            wire.cut()
            await until("all noticed", partial(has_lost, n * people))
            await until("all are back", lambda: all(each.joined == "in" for each in rooms))
        await until("all are live", lambda: all(each.live for each in rooms[:5]))
        assert observed == [[]] * 6
        assert state(room.members) == sorted((f"user-{n}", {"n": n}) for n in range(people))
        await asyncio.gather(*(each.close() for each in [*clients, observer]))
        await wire.stop()

    run(main())


def test_a_restart_is_nobody_s_business() -> None:
    """Everybody comes back to a broker that knows nothing, and nobody is said to have left."""

    async def main() -> None:
        port = free_port()
        first = start_broker(port=port)
        clients = [connect(first.url, f"user-{n}") for n in range(5)]
        rooms = [each.channel("restart") for each in clients]
        await asyncio.gather(*(each.subscribe() for each in rooms), *(each.join({"n": 1}) for each in rooms))
        await until("all are there", lambda: all(each.count == 5 for each in rooms))
        told = [tellings(each) for each in rooms]
        first.process.kill()
        first.process.communicate()
        await until("all noticed", lambda: not any(each.live for each in rooms))
        assert all(each.count == 5 for each in rooms)
        second = start_broker(port=port)
        await until("all are back", lambda: all(each.live and not each._replica.missing for each in rooms))
        assert told == [[]] * 5
        await asyncio.gather(*(each.close() for each in clients))
        second.stop()

    run(main())


def test_writes_from_a_loop_fold(broker: Broker) -> None:
    """A thousand writes in one turn: the last is what shows, and nobody is refused."""

    async def main() -> None:
        async with connect(broker.url, "ada") as here:
            room = here.channel("fold")
            sent = 0

            def count(frame: dict[str, str]) -> None:
                nonlocal sent
                sent += frame["direction"] == "out"

            await room.subscribe()
            await room.join()
            here.on("frame", count)
            await asyncio.gather(*(room.set_attributes({"x": n, "y": -n}) for n in range(1_000)))
            assert room.self
            assert room.self.attributes == {"x": 999, "y": -999}
            assert sent < 400

    run(main())


def test_changes_watch_while_they_are_read(broker: Broker) -> None:
    """Whoever iterates watches, and does no longer when it ends."""

    async def main() -> None:
        async with connect(broker.url, "ada") as ada, connect(broker.url, "bob") as bob:
            room, theirs = ada.channel("changes"), bob.channel("changes")
            seen = asyncio.get_running_loop().create_task(first(room))
            await until("it watches", lambda: room.live)
            await theirs.join()
            assert await seen == ("join", "bob")
            await until("it watches no longer", lambda: room.level is None)
            # Whoever has asked for it otherwise goes on watching.
            await room.subscribe()
            seen = asyncio.get_running_loop().create_task(first(room))
            await asyncio.sleep(0)
            await theirs.leave()
            assert await seen == ("leave", "bob")
            assert room.live
        # A client that is closed has no more changes.
        assert [change async for change in room.changes()] == []

    async def first(room: herenow.Channel) -> tuple[str, str]:
        changes = room.changes()
        try:
            async for change in changes:
                return change.event, change.user
        finally:
            await changes.aclose()  # type: ignore[attr-defined]
        raise AssertionError("it ended")

    run(main())


def test_parts_of_a_program_share_a_channel(broker: Broker) -> None:
    """One subscription and one membership, until the last of them ends."""

    async def main() -> None:
        async with connect(broker.url, "ada") as here:
            room = here.channel("shared")
            async with room.hold(join={"by": "first"}):
                assert room.count == 1
                async with room.hold(join={"by": "second"}, level="events"):
                    assert room.self
                    assert room.self.attributes == {"by": "second"}
                assert room.self
                assert room.self.attributes == {"by": "first"}
                assert room.live
            assert room.joined == "out"
            assert room.level is None
            assert await room.get_count() == 0
            with pytest.raises(herenow.HerenowError, match="invalid_field"):
                async with room.hold(join=True, grace_ms=-5):
                    raise AssertionError("it was let in")
            assert room.joined == "out"

    run(main())


def test_users_are_watched(broker: Broker) -> None:
    """A status is told as soon as it is known, and whenever it changes."""

    async def main() -> None:
        async with connect(broker.url, "ada") as ada:
            statuses = ada.user("zoe").statuses()
            assert not (await anext(statuses)).online
            async with connect(broker.url, "zoe") as zoe:
                assert (await anext(statuses)).online
                await zoe.status(busy=True, wait_time=5, text="at lunch")
                status = await anext(statuses)
                assert (status.busy, status.wait_time, status.text) == (True, 5, "at lunch")
                await zoe.status(wait_time=None)
                status = await anext(statuses)
                assert (status.busy, status.wait_time) == (True, None)
            assert not (await anext(statuses)).online
            await statuses.aclose()  # type: ignore[attr-defined]

    run(main())


def test_a_cancelled_wait_changes_nothing(broker: Broker) -> None:
    """Whoever waits no longer for a join is a member all the same."""

    async def main() -> None:
        async with connect(broker.url, "ada") as here:
            room = here.channel("cancelled")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(room.join({"n": 1}), 0)
            await until("it is in", lambda: room.joined == "in")
            assert await room.get_attributes() == {"n": 1}

    run(main())


def test_it_closes_within_a_second() -> None:
    """Also where the other side says nothing any more."""

    def is_in(here: herenow.Client, phase: str) -> bool:
        return here.state.phase == phase

    async def main() -> None:
        deaf_to: list[asyncio.StreamWriter] = []
        deaf = await asyncio.start_server(lambda _, writer: deaf_to.append(writer), "127.0.0.1", 0)
        port = deaf.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        for phase in ("connecting", "waiting"):
            here = connect(f"ws://127.0.0.1:{port}", "ada")
            joined = here.channel("room").join()
            await until(phase, partial(is_in, here, phase))
            begun = loop.time()
            await here.close()
            assert loop.time() - begun < 1
            with pytest.raises(herenow.HerenowError, match="closed"):
                await joined
            assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            deaf.close()
            for writer in deaf_to:
                writer.transport.abort()
            port = 9

    run(main())


def test_tokens(tmp_path: Any) -> None:
    """Asked for by a coroutine function, and again when one is refused."""
    secret = tmp_path / "secret"
    secret.write_text("a secret that is long enough to be one")
    broker = start_broker("--jwt-secret-file", str(secret))

    def token(*more: str) -> str:
        command = [BROKER, "token", "--jwt-secret-file", str(secret), "--user", "ada", "--ttl", "1h", *more]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    async def main() -> None:
        fetched = 0

        async def fetch() -> str:
            nonlocal fetched
            fetched += 1
            return "a.b.c" if fetched == 1 else token("--info", '{"name":"Ada"}', "--channel", "room-*=join,subscribe")

        async with herenow.connect(broker.url, token=fetch, first_retry_ms=10, max_retry_ms=20) as here:
            room = here.channel("room-1")
            await room.subscribe()
            await room.join()
            assert here.me == "ada"
            assert room.self
            assert room.self.info == {"name": "Ada"}
            assert fetched == 2
            with pytest.raises(herenow.HerenowError, match="forbidden") as refused:
                await here.channel("hall").join()
            assert refused.value.field == "channel"

    try:
        run(main())
    finally:
        broker.stop()


def test_replicas_equal_the_broker_after_any_history(broker: Broker) -> None:
    """Members come, change and go at random while the reader is cut; at each rest it knows what is so."""
    seed = int(os.environ.get("HERENOW_SEED", random.randrange(2**31)))
    print(f"HERENOW_SEED={seed}")
    dice = random.Random(seed)

    async def main() -> None:
        wire = await start_wire(broker)
        reader = connect(wire.url, "reader")
        room = reader.channel("history")
        await room.subscribe(level="events")
        clients = [connect(broker.url, f"user-{n}") for n in range(12)]
        rooms = [each.channel("history") for each in clients]
        for _ in range(12):
            for _ in range(40):
                each = dice.choice(rooms)
                if each.joined == "out":
                    each.join({"n": dice.randrange(9)})
                elif dice.random() < 0.3:
                    each.leave()
                else:
                    each.set_attributes({dice.choice("abc"): dice.choice([1, 1.5, "x", None, [True]])})
                if dice.random() < 0.1:
                    await asyncio.sleep(dice.random() * 0.05)
            if dice.random() < 0.6:
                wire.cut()
            # An answer comes behind all that was asked before it.
            await asyncio.gather(*(each.get_count() for each in rooms))
            truth = await rooms[0].get_members()
            await until("it is in step", partial(is_as, room, truth))
        await asyncio.gather(*(each.close() for each in [*clients, reader]))
        await wire.stop()

    run(main())
