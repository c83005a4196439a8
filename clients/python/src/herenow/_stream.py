"""Server-sent events, out of bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One frame of a stream."""

    frame: dict[str, Any]
    """``snapshot``, ``presence``, ``count`` or ``level``, as the protocol has them; but a snapshot that comes in
    parts is one here, with all members."""
    cursor: str | None
    """Where in the channel's history the stream is: hand it back, and never read it. None: begin anew."""


@dataclass(slots=True)
class Decoder:
    """One stream, on one connection.

    Lines end with a line feed alone: text may hold other characters that end lines elsewhere. The parts of a
    snapshot whose last never came end with the connection.
    """

    cursor: str | None = None
    """Of the last event."""
    retry_ms: int | None = None
    """When to come back, as the broker says."""
    _rest: bytearray = field(default_factory=bytearray)
    _data: list[str] = field(default_factory=list)
    _id: str | None = None
    _parts: dict[str, tuple[tuple[str, int], dict[str, Any]]] = field(default_factory=dict)
    """Of a channel: which snapshot goes on, and its members so far."""

    def feed(self, chunk: bytes) -> Iterator[StreamEvent]:
        """The events that are whole with these bytes."""
        self._rest += chunk
        *lines, rest = self._rest.split(b"\n")
        self._rest = bytearray(rest)
        for line in lines:
            event = self._line(line.decode().removesuffix("\r"))
            if event:
                yield event

    def _line(self, line: str) -> StreamEvent | None:
        if not line:
            return self._end()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id":
            self._id = value
        elif name == "retry" and value.isdecimal():
            self.retry_ms = int(value)
        return None

    def _end(self) -> StreamEvent | None:
        # In the midst of a snapshot there is no place to come back to but the one before it.
        if self._id is not None:
            self.cursor = self._id or None
            self._id = None
        data, self._data = "\n".join(self._data), []
        frame = json.loads(data) if data else None
        if frame and frame.get("type") == "snapshot":
            frame = self._whole(frame)
        return StreamEvent(frame, self.cursor) if frame else None

    def _whole(self, part: dict[str, Any]) -> dict[str, Any] | None:
        """The snapshot, if this part is its last."""
        which = (part["epoch"], part["seq"])
        before, members = self._parts.pop(part["channel"], (which, {}))
        # Another one has begun: what came of the one before is void.
        if before != which:
            members = {}
        # A member may stand in two parts, and the later counts.
        members.update((member["user"], member) for member in part["members"])
        if part.pop("more", False):
            self._parts[part["channel"]] = (which, members)
            return None
        return {**part, "members": list(members.values())}
