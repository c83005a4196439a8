"""Who is here, now? The asyncio client of herenow.

::

    import herenow

    async with herenow.connect("wss://example.com/ws", token=get_token) as here:
        room = here.channel("room-1")
        await room.join({"mood": "happy"})
        async for change in room.changes():
            print(change.event, change.user, room.count)

``herenow.http`` asks the broker's HTTP API (the extra ``herenow[http]``), and ``herenow.webhooks`` looks
whether a delivery is the broker's (``herenow[webhooks]``).
"""

from ._channel import Channel, Page, PresenceEvent
from ._client import Client, connect
from ._credentials import TokenSource
from ._error import HerenowError
from ._hold import Hold
from ._json import Attributes
from ._replica import Kind, Member
from ._shapes import Heartbeat, Limits, Server, State, Welcome
from ._user import Status, User

__all__ = [
    "Attributes",
    "Channel",
    "Client",
    "Heartbeat",
    "HerenowError",
    "Hold",
    "Kind",
    "Limits",
    "Member",
    "Page",
    "PresenceEvent",
    "Server",
    "State",
    "Status",
    "TokenSource",
    "User",
    "Welcome",
    "connect",
]
