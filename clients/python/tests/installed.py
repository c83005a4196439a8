"""Run by ``check`` in a fresh environment with the wheel alone: joins, looks, and interrupts nobody."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.resources
import os
import subprocess

import herenow
import herenow.webhooks
from herenow.http import AsyncApi


async def main(http: str) -> None:
    """The client and the HTTP API of one broker."""
    async with herenow.connect(http, user="ada") as here, AsyncApi(http) as api:
        room = here.channel("installed")
        await asyncio.gather(room.subscribe(), room.join({"mood": "happy"}))
        assert room.self
        assert await api.count("installed") == 1
        await room.leave()
        assert room.count == 0


assert importlib.resources.files(herenow).joinpath("py.typed").is_file()
assert "site-packages" in herenow.__file__
broker = subprocess.Popen(
    [os.environ["HERENOW_BIN"], "--listen", "127.0.0.1:0"],
    stdout=subprocess.PIPE,
    text=True,
    env={**os.environ, "HERENOW_LOG": "error"},
)
try:
    assert broker.stdout
    asyncio.run(main(broker.stdout.readline().split()[2]))
    print(f"herenow {importlib.metadata.version('herenow')}: ok")
finally:
    broker.terminate()
    broker.communicate()
