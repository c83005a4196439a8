"""One WebSocket: opened, read, written, and closed within a moment."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections import deque
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.typing import Subprotocol

from ._error import HerenowError

LOST = 1006
"""No Close came."""
_GOODBYE_S = 0.5
"""For so long a goodbye may take."""
_MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""One message of the broker, inflated: a tick of a hundred thousand joins has some ten."""
_MAX_UNSENT = 1_000
"""So many frames may wait for a socket that takes none. It is dead long before."""


class Socket:
    """A connection, whatever becomes of it."""

    def __init__(self, raw: ClientConnection) -> None:
        self._raw = raw
        self._unsent: deque[str] = deque()
        self._wake = asyncio.Event()
        self._writer = asyncio.get_running_loop().create_task(self._write())

    @classmethod
    async def open(cls, url: str, token: str | None, *, ssl_context: ssl.SSLContext | None) -> Socket:
        """Dials. Raises what is known of why it did not succeed."""
        options: dict[str, Any] = {}
        if ssl_context and url.startswith("wss:"):
            options["ssl"] = ssl_context
        if token is not None:
            options["additional_headers"] = {"Authorization": f"Bearer {token}"}
        try:
            raw = await connect(
                url,
                subprotocols=[Subprotocol("herenow.v1")],
                # The default asks for small windows, and the broker has one for all.
                compression=None,
                extensions=[
                    ClientPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)
                ],
                # The link has its own signs of life, which tell more, and its own patience.
                ping_interval=None,
                open_timeout=None,
                close_timeout=_GOODBYE_S,
                max_size=_MAX_MESSAGE_BYTES,
                **options,
            )
        except InvalidStatus as refusal:
            raise _why(refusal) from refusal
        return cls(raw)

    def send(self, text: str) -> bool:
        """Sends when the socket takes it. False if it has taken nothing for far too long."""
        self._unsent.append(text)
        self._wake.set()
        return len(self._unsent) <= _MAX_UNSENT

    async def receive(self) -> str | None:
        """The next message. None: there will be no other."""
        try:
            message = await self._raw.recv()
        except ConnectionClosed:
            return None
        return message if isinstance(message, str) else ""

    @property
    def close_code(self) -> int:
        """With which code the other side has closed."""
        code = self._raw.close_code
        return LOST if code is None else code

    @property
    def close_reason(self) -> str:
        """What it said to that."""
        return self._raw.close_reason or ""

    async def goodbye(self, code: int) -> None:
        """Sends what is still to be sent, and a Close; then lets go, whatever the other side does."""
        self._writer.cancel()
        try:
            await asyncio.wait_for(self._say_goodbye(code), _GOODBYE_S)
        except (asyncio.TimeoutError, ConnectionClosed, OSError):
            pass
        finally:
            self._raw.transport.abort()

    async def _say_goodbye(self, code: int) -> None:
        while self._unsent:
            await self._raw.send(self._unsent.popleft())
        await self._raw.close(code)

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._unsent:
                    await self._raw.send(self._unsent.popleft())
        except (ConnectionClosed, OSError):
            pass  # whoever reads learns it


def _why(refusal: InvalidStatus) -> HerenowError:
    """What the broker says in the answer to a handshake that it refuses."""
    status = refusal.response.status_code
    try:
        problem = json.loads(refusal.response.body or b"")
        return HerenowError(
            problem["code"],
            problem["detail"],
            field=problem.get("field"),
            retry_after_ms=problem.get("retryAfterMs"),
            status=status,
        )
    except (LookupError, ValueError, TypeError):
        return HerenowError("unreachable", f"no herenow broker answers here, but HTTP {status}", status=status)
