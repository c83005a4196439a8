"""Time that goes on while the machine sleeps, and never goes back.

A monotonic clock stands still in a sleep on most systems; the wall clock does not, but may be set.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_SLEPT_MS = 1_000
"""By so much more the wall clock must have gone on, or it was no sleep."""


class Clock:
    """Milliseconds since some moment."""

    def __init__(
        self,
        steady: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._steady = steady
        self._wall = wall
        self._slept = 0.0
        self._ahead = wall() - steady()

    def __call__(self) -> float:
        before = self._ahead
        steady = self._steady()
        self._ahead = self._wall() - steady
        if (self._ahead - before) * 1_000 > _SLEPT_MS:
            self._slept += self._ahead - before
        return (steady + self._slept) * 1_000


clock = Clock()
