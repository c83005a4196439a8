"""A bot that is present in a room, and greets whoever comes by what it carries itself.

python bot.py ws://127.0.0.1:8080/ws lobby
"""

from __future__ import annotations

import asyncio
import sys

import herenow


async def greet(url: str, name: str) -> None:
    """Is there until it is interrupted; whoever comes reads its attribute ``says`` for five seconds."""
    async with herenow.connect(url, user="greeter") as here:
        room = here.channel(name)
        await room.join({"kind": "bot"})
        async for change in room.changes():
            if change.event == "join" and change.user != here.me:
                # It is not awaited: of two who come at once the later is greeted, and nobody waits.
                room.set_attributes({"says": f"Hello, {change.user}!"}, ttl_ms=5_000)


if __name__ == "__main__":
    asyncio.run(greet(*sys.argv[1:3]))
