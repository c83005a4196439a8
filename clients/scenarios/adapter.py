"""The adapter of the Python client. ``README.md`` beside this says what it is told and what it tells."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import herenow

Told = dict[str, Any]


def tell(line: Told) -> None:
    """One line on standard output."""
    print(json.dumps(line), flush=True)


def plain(error: BaseException | None) -> Told | None:
    """An error as the runner reads it."""
    if error is None:
        return None
    if not isinstance(error, herenow.HerenowError):
        return {"code": "crash", "message": repr(error)}
    return {
        "code": error.code,
        "message": error.message,
        "field": error.field,
        "wanted": error.wanted,
        "retryAfterMs": error.retry_after_ms,
    }


def source(token: Any) -> Any:
    """A token, or a list of those that the function brings, one after the other; None: it fails."""
    if not isinstance(token, list):
        return token
    left = list(token)

    async def fetch() -> Any:
        tell({"event": "token", "at": time.monotonic() * 1_000})
        following = left.pop(0) if len(left) > 1 else left[0]
        if following is None:
            raise RuntimeError("no token today")
        return following

    return fetch


def unsayable(value: Any) -> Any:
    """What JSON cannot say."""
    return {"worth": float("nan")} if value == "$unsayable" else value


def member(each: herenow.Member) -> Told:
    """A member as the runner reads it."""
    return {
        "user": each.user,
        "info": each.info,
        "attributes": each.attributes,
        "away": each.away,
        "joinedAt": each.joined_at,
    }


class Adapter:
    """One client, told what to do."""

    def __init__(self) -> None:
        self.here: herenow.Client | None = None
        self.heard: set[str] = set()
        self.watches: dict[str, Callable[[], None]] = {}

    @property
    def client(self) -> herenow.Client:
        """The one that was connected."""
        assert self.here
        return self.here

    def room(self, name: str) -> herenow.Channel:
        """A channel whose events are told."""
        channel = self.client.channel(name)
        if name not in self.heard:
            self.heard.add(name)
            kinds: tuple[herenow.Kind, ...] = ("join", "leave", "timeout", "updateAttributes")
            for kind in kinds:
                channel.on(kind, self.tell_event)
            channel.on("error", lambda error: tell({"event": "channelError", "channel": name, "error": plain(error)}))
        return channel

    def tell_event(self, event: herenow.PresenceEvent) -> None:
        """What happened to a member."""
        tell(
            {
                "event": event.event,
                "channel": event.channel,
                "user": event.user,
                "attributes": event.attributes,
                "info": event.info,
                "away": event.away,
                "reason": event.reason,
                "before": event.before and event.before.attributes,
            }
        )

    def do(self, what: str, command: Told) -> Awaitable[Any] | Any:
        """One command; what comes of it."""
        channel = command.get("channel")
        if what == "sync":
            return asyncio.sleep(0.002)
        if what == "connect":
            self.connect(command["url"], **command["options"])
            return None
        if what == "show":
            return self.show(channel)
        if what == "watch":
            self.watch(command["user"], command.get("live", False))
            return None
        if what == "unwatch":
            return self.watches[command["user"]]()
        return self.do_in(self.room(channel), what, command) if channel else self.do_apart(what, command)

    def connect(
        self,
        url: str,
        *,
        firstRetryMs: int,
        maxRetryMs: int,
        graceMs: int,
        timeoutMs: int,
        user: str,
        token: Any = None,
    ) -> None:
        """Connects."""
        self.here = herenow.connect(
            url,
            user=user if token is None else None,
            token=source(token),
            grace_ms=graceMs,
            timeout_ms=timeoutMs,
            first_retry_ms=firstRetryMs,
            max_retry_ms=maxRetryMs,
            lazy=False,
        )
        self.here.on("error", lambda error: tell({"event": "error", "error": plain(error)}))

    def show(self, name: str | None) -> Told:
        """All that is shown."""
        here = self.client
        told: Told = {"state": {"phase": here.state.phase, "error": plain(here.state.error)}, "me": here.me}
        if name is None:
            return told
        room = self.room(name)
        return {
            **told,
            "members": [member(each) for each in room.members],
            "count": room.count,
            "level": room.level,
            "live": room.live,
            "joined": room.joined,
            "error": plain(room.error),
            "self": room.self and room.self.user,
        }

    def do_in(self, room: herenow.Channel, what: str, command: Told) -> Awaitable[Any]:
        """What is done in a channel."""
        options = command.get("options", {})
        if what == "join":
            return room.join(
                unsayable(command.get("attributes")),
                grace_ms=options.get("graceMs"),
                visible_to=options.get("visibleTo"),
            )
        if what == "setAttributes":
            return room.set_attributes(
                unsayable(command["attributes"]), ttl_ms=command.get("ttlMs"), replace=command.get("replace", False)
            )
        if what == "subscribe":
            return room.subscribe(
                level=options.get("level", "auto"),
                recent=options.get("recent"),
                recent_attributes=options.get("recentAttributes"),
            )
        if what == "getMembers":
            return self.page(room.get_members(**options))
        if what == "away":
            return room.away(command.get("away", True))
        if what == "getAttributes":
            return room.get_attributes(command.get("user"))
        plainly: dict[str, Callable[[], Awaitable[Any]]] = {
            "leave": room.leave,
            "unsubscribe": room.unsubscribe,
            "getCount": room.get_count,
        }
        return plainly[what]()

    def do_apart(self, what: str, command: Told) -> Awaitable[Any] | None:
        """What is done apart from any channel."""
        here = self.client
        if what == "away":
            return here.away(command.get("away", True))
        if what == "getChannels":
            return here.get_channels(command.get("user"))
        if what == "status":
            names = {"waitTime": "wait_time"}
            return here.status(**{names.get(name, name): value for name, value in command["patch"].items()})
        if what == "request":
            return here.request(command["frame"])
        if what == "check":
            return here.check()
        if what == "retry":
            here.retry()
            return None
        assert what == "close"
        return here.close()

    def watch(self, user: str, live: bool) -> None:
        """Watches a user."""

        def hear(status: herenow.Status) -> None:
            tell({"event": "status", "user": user, "online": status.online, "live": status.live, "busy": status.busy})

        self.watches[user] = self.client.user(user).watch(hear, live=live)

    async def page(self, asked: Awaitable[herenow.Page]) -> Told:
        """A page of members as the runner reads it."""
        page = await asked
        return {"members": [member(each) for each in page.members], "count": page.count, "next": page.next}

    async def answer(self, id: int, what: str, command: Told) -> None:  # noqa: A002 - as the line has it
        """Does it, and tells how it ended."""
        try:
            result = self.do(what, command)
            if asyncio.isfuture(result) or asyncio.iscoroutine(result):
                result = await result
            tell({"id": id, "ok": result})
        except Exception as error:
            tell({"id": id, "error": plain(error)})


async def main() -> None:
    """Reads commands until there are no more."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    adapter = Adapter()
    tasks = set()
    while line := await lines.readline():
        command = json.loads(line)
        task = loop.create_task(adapter.answer(command.pop("id"), command.pop("do"), command))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if adapter.here:
        await adapter.here.close()
    await asyncio.gather(*tasks)


asyncio.run(main())
