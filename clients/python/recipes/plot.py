"""Who was in a channel, and when, as a plot. What ``plot.ipynb``, the notebook beside this, stands on.

It needs ``herenow[http]`` and ``matplotlib``.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure

from herenow.http import AsyncApi


@dataclass
class Spans:
    """When each user was there, in seconds since 1970."""

    begun: float
    ended: float
    here: dict[str, float] = field(default_factory=dict)
    """Those who are, and since when."""
    gone: list[tuple[str, float, float]] = field(default_factory=list)

    def take(self, frame: dict[str, Any]) -> None:
        """What a frame of the channel's stream tells. The broker's clock says when."""
        if frame["type"] == "snapshot":
            # Behind a gap in what we heard: nobody knows when those went who stand in it no longer.
            for user in self.here.keys() - {member["user"] for member in frame["members"]}:
                self.go(user, time.time())
            for member in frame["members"]:
                self.here.setdefault(member["user"], member["joinedAt"] / 1_000)
        for event in frame.get("events", ()):
            if event["event"] == "join":
                self.here.setdefault(event["user"], event["at"] / 1_000)
            elif event["event"] in ("leave", "timeout") and event["user"] in self.here:
                self.go(event["user"], event["at"] / 1_000)

    def go(self, user: str, at: float) -> None:
        """Somebody is there no longer."""
        self.gone.append((user, self.here.pop(user), at))


async def watch(url: str, channel: str, *, seconds: float, token: str | None = None) -> Spans:
    """Follows a channel for a while."""
    spans = Spans(time.time(), time.time() + seconds)

    async def follow() -> None:
        async with AsyncApi(url, token=token) as api:
            async for event in api.events(channel, level="events"):
                spans.take(event.frame)

    try:
        await asyncio.wait_for(follow(), seconds)
    except asyncio.TimeoutError:
        spans.gone += [(user, since, spans.ended) for user, since in spans.here.items()]
    return spans


def draw(spans: Spans) -> Figure:
    """A line for each user, in the order in which they came."""
    figure = Figure(figsize=(9, 4))
    axes = figure.subplots()
    users = list(dict.fromkeys(user for user, *_ in sorted(spans.gone, key=lambda span: span[1])))
    for user, since, until in spans.gone:
        left = max(since, spans.begun) - spans.begun
        row = users.index(user)
        axes.barh(row, until - spans.begun - left, left=left, height=0.6, color=f"C{row % 10}")
    axes.set_yticks(range(len(users)), users)
    axes.set_xlabel("seconds")
    axes.set_xlim(0, spans.ended - spans.begun)
    figure.tight_layout()
    return figure
