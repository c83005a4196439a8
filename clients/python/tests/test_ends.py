"""How programs end: without a warning, and with a goodbye."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

from .conftest import Broker, connect, program, run, until

FLOATING = """
import asyncio, sys, herenow

async def main():
    here = herenow.connect(sys.argv[1], user="floats", timeout_ms=int(sys.argv[2]))
    room = here.channel("floating")
    room.join({"n": 1}); room.subscribe(); room.set_attributes({"m": 2}); room.away(); here.away(False)
    room.join({"n": 2}); room.leave(); room.join(); room.subscribe(level="count")
    here.user("bob").watch(print)
    await asyncio.sleep(float(sys.argv[3]))
    room.get_members(); room.get_count(); here.get_channels(); here.check()
    here.status(busy=True); here.request({"type": "getCount", "channel": "x"})
    if sys.argv[4] == "close":
        here.close()

asyncio.run(main())
"""

PRESENT = """
import asyncio, sys, herenow

async def main():
    async with herenow.connect(sys.argv[1], user=sys.argv[2]) as here:
        await here.channel("interrupted").join()
        print("in", flush=True)
        await asyncio.sleep(60)

async def bare():
    here = herenow.connect(sys.argv[1], user=sys.argv[2])
    await here.channel("interrupted").join()
    print("in", flush=True)
    await asyncio.sleep(60)

asyncio.run({"with": main, "bare": bare}[sys.argv[3]]())
"""


@pytest.mark.parametrize("how", ["close", "go"])
@pytest.mark.parametrize("seconds", ["0", "0.3"])
def test_what_floats_ends_without_a_warning(broker: Broker, how: str, seconds: str) -> None:
    """A program that awaits nothing of what it asked for, with a broker and without one."""
    for url in (broker.url, "ws://127.0.0.1:9/ws"):
        # Without a broker promises run out of time, too: of what goes on being wanted nobody needs to hear.
        floats = program(FLOATING, url, "100", seconds, how)
        out, err = floats.communicate(timeout=20)
        assert err == ""
        assert floats.returncode == 0
        assert "Error" not in out


@pytest.mark.parametrize("how", ["with", "bare"])
def test_an_interrupt_leaves_the_room(broker: Broker, how: str) -> None:
    """Others see somebody leave, and not one who was lost, at once."""

    async def main() -> None:
        async with connect(broker.url, "observer") as here:
            room = here.channel("interrupted")
            await room.subscribe()
            told: list[tuple[str, str, str | None]] = []
            room.on("leave", lambda event: told.append((event.event, event.user, event.reason)))
            room.on("timeout", lambda event: told.append((event.event, event.user, event.reason)))
            interrupted = program(PRESENT, broker.url, f"ctrl-c-{how}", how)
            assert interrupted.stdout
            await asyncio.to_thread(interrupted.stdout.readline)
            await until("it is there", lambda: room.get(f"ctrl-c-{how}"))
            interrupted.send_signal(signal.SIGINT)
            _, err = await asyncio.to_thread(interrupted.communicate, timeout=10)
            assert err.rstrip().endswith("KeyboardInterrupt")
            assert "never retrieved" not in err
            await until("it is told", lambda: told)
            assert told == [("leave", f"ctrl-c-{how}", "closed")]

    run(main())


def test_python_is_what_we_promise() -> None:
    """The tests run on one that is supported."""
    assert sys.version_info >= (3, 10)
