"""What one connection has to say, in turn, and no faster than the broker allows.

No frames wait here but topics: what is to be said of one is asked for when its turn comes, and is
then the newest. So whoever writes faster than may be sent holds up nobody, and nothing old follows
anything newer.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Hashable

from ._emitter import told

Make = Callable[[], "list[str]"]
"""What is to be said now, perhaps nothing any more."""


class Outbox:
    """The turns of one connection."""

    def __init__(self, frames_per_second: float, frames_burst: float, write: Callable[[str], None]) -> None:
        # Pongs count too, and the broker's clock is not ours: stay a little below.
        self._rate = frames_per_second * 0.9
        self._burst = max(1.0, frames_burst * 0.9)
        self._write = write
        # In turn, and not before when.
        self._topics: dict[Hashable, tuple[Make, float]] = {}
        # Frames that may be sent, and when that was so. What one topic says goes together, ahead of
        # time if need be.
        self._left = self._burst
        self._at = 0.0
        self._is_busy = False
        self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None

    def post(self, topic: Hashable, make: Make, wait_ms: float = 0) -> None:
        """Asks for a turn. A topic has one, however often it is asked for.

        ``wait_ms``: the broker refused it, and wants it again after so long.
        """
        if self._is_closed:
            return
        loop = asyncio.get_running_loop()
        _, earliest = self._topics.get(topic, (None, 0.0))
        self._topics[topic] = (make, max(loop.time() + wait_ms / 1_000 if wait_ms else 0.0, earliest))
        if wait_ms:
            # It was faster than the broker likes.
            self._left = min(0.0, self._left)
        self._flush()

    def close(self) -> None:
        """Nothing is said any more."""
        self._is_closed = True
        self._topics.clear()
        if self._timer:
            self._timer.cancel()

    def _flush(self) -> None:
        # Who is told of what is sent may want to say more.
        if self._is_busy or self._is_closed:
            return
        self._is_busy = True
        if self._timer:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        following = self._say(now)
        self._is_busy = False
        if self._topics:
            self._timer = loop.call_later(max(following - now, (1 - self._left) / self._rate, 0.001), self._flush)

    def _say(self, now: float) -> float:
        """Says what may be said now. When the first of those that must wait may be said."""
        following = math.inf
        # Topics that ask for a turn meanwhile come behind, and have it at once.
        waiting = list(self._topics)
        while waiting:
            topic = waiting.pop(0)
            if topic not in self._topics:
                continue
            make, earliest = self._topics[topic]
            if earliest > now or self._left < 1:
                following = min(following, earliest)
                continue
            del self._topics[topic]
            before = set(self._topics)
            try:
                for text in make():
                    self._left -= 1
                    self._write(text)
            except Exception as error:
                told(error, make)
            waiting += [other for other in self._topics if other not in before]
        return following
