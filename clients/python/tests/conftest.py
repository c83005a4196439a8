"""A broker of our own, and a wire to it that loses connections as a network does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import herenow

# In the background of a shell an interrupt is ignored, and programs that are started from here would
# inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).parents[3]
BROKER = os.environ.get("HERENOW_BIN", str(REPOSITORY / "target/debug/herenow"))
PATIENCE_S = 20.0
"""For what never comes: nothing here takes long."""


@dataclass
class Broker:
    """A broker that runs."""

    http: str
    process: subprocess.Popen[str]

    @property
    def url(self) -> str:
        """Of its WebSocket."""
        return self.http.replace("http", "ws") + "/ws"

    def stop(self) -> None:
        """Ends it."""
        self.process.terminate()
        self.process.communicate()


def free_port() -> int:
    """A port for what listens there more than once: below those that Linux gives away by itself (32,768 and above)."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_768)
        with socket.socket() as tried, contextlib.suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port


def start_broker(*flags: str, port: int = 0) -> Broker:
    """A broker on a free port, unless told which."""
    process = subprocess.Popen(
        [BROKER, "--listen", f"127.0.0.1:{port}", *flags],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HERENOW_LOG": "error"},
    )
    assert process.stdout
    first = process.stdout.readline()
    assert first.startswith("listening on "), first
    # The rest is a few lines for people. Nobody reads them, and the pipe has room for them.
    return Broker(first.split()[2], process)


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """One broker for all tests that do not end it."""
    running = start_broker("--max-requests-per-second", "100000", "--max-requests-burst", "100000")
    yield running
    running.stop()


@dataclass
class Wire:
    """What lies between a client and the broker."""

    url: str
    server: asyncio.Server
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Takes all connections away, without a goodbye."""
        for writer in list(self.writers):
            # Zero seconds of lingering: a reset in place of an end.
            raw = writer.get_extra_info("socket")
            if raw:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()

    async def stop(self) -> None:
        """Lets nobody through any more."""
        self.server.close()
        self.cut()
        await asyncio.sleep(0.05)


async def start_wire(broker: Broker) -> Wire:
    """A wire to a broker."""
    port = int(broker.http.rsplit(":", 1)[1])
    writers: set[asyncio.StreamWriter] = set()

    async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.transport.abort()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        writers.update((writer, far_writer))
        await asyncio.gather(through(reader, far_writer), through(far_reader, writer))
        writers.difference_update((writer, far_writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    return Wire(f"ws://127.0.0.1:{address[1]}/ws", server, writers)


def connect(url: str, user: str, **options: Any) -> herenow.Client:
    """A client that comes back fast."""
    return herenow.connect(url, user=user, first_retry_ms=20, max_retry_ms=100, **options)


async def until(what: str, is_so: Callable[[], object]) -> None:
    """Waits for something to be so."""
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end, f"it never came: {what}"
        await asyncio.sleep(0.005)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs a test's coroutine, in a loop that complains of what was forgotten."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
        await main

    asyncio.run(watched())
    assert not complaints


# A busy machine is slow, and that is no fault of the program. Development mode says so in spite of the
# environment, which is why the logger is told.
_NOT_SLOW = "import logging; logging.getLogger('asyncio').addFilter(lambda it: 'Executing' not in str(it.msg))\n"


def program(text: str, *args: str, **options: Any) -> subprocess.Popen[str]:
    """A program of its own, with every warning an error."""
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-c", _NOT_SLOW + text, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        **options,
    )
