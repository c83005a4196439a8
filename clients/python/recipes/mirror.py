"""Keeps a table in SQLite equal to some channels of the broker, through restarts of either side.

python mirror.py http://127.0.0.1:8080 mirror.db lobby hall
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from typing import Any

from herenow.http import AsyncApi, StreamEvent

TABLES = """
    CREATE TABLE IF NOT EXISTS members (channel, user, attributes, PRIMARY KEY (channel, user));
    CREATE TABLE IF NOT EXISTS cursors (channel PRIMARY KEY, cursor);
"""


class Mirror:
    """The table, and how far in each channel's stream it is."""

    def __init__(self, file: str) -> None:
        self.db = sqlite3.connect(file)
        self.db.executescript(TABLES)

    def cursor(self, channel: str) -> str | None:
        """Behind which event to go on."""
        row = self.db.execute("SELECT cursor FROM cursors WHERE channel = ?", [channel]).fetchone()
        return str(row[0]) if row and row[0] else None

    def put(self, channel: str, member: dict[str, Any]) -> None:
        """A member as it is now."""
        row = [channel, member["user"], json.dumps(member["attributes"])]
        self.db.execute("REPLACE INTO members VALUES (?, ?, ?)", row)

    def take(self, channel: str, event: StreamEvent) -> None:
        """What the event tells and the place behind it, both or neither: a transaction."""
        frame = event.frame
        with self.db:
            if frame["type"] == "snapshot":
                self.db.execute("DELETE FROM members WHERE channel = ?", [channel])
                for member in frame["members"]:
                    self.put(channel, member)
            for change in frame.get("events", ()):
                key = [channel, change["user"]]
                known = self.db.execute("SELECT 1 FROM members WHERE channel = ? AND user = ?", key).fetchone()
                # What is told behind a snapshot may stand in it already.
                if change["event"] == "join" or (change["event"] == "updateAttributes" and known):
                    self.put(channel, change)
                elif change["event"] in ("leave", "timeout"):
                    self.db.execute("DELETE FROM members WHERE channel = ? AND user = ?", key)
            self.db.execute("REPLACE INTO cursors VALUES (?, ?)", [channel, event.cursor])


async def mirror(url: str, file: str, *channels: str) -> None:
    """Follows the channels until it is interrupted."""
    table = Mirror(file)
    async with AsyncApi(url, token=os.environ.get("API_KEY")) as api:

        async def follow(channel: str) -> None:
            async for event in api.events(channel, level="events", cursor=table.cursor(channel)):
                table.take(channel, event)

        await asyncio.gather(*map(follow, channels))


if __name__ == "__main__":
    asyncio.run(mirror(*sys.argv[1:]))
