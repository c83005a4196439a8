"""The HTTP API against a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.server
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from herenow import HerenowError, _calls
from herenow.http import Api, AsyncApi, EndLease, TakeLease

from .conftest import PATIENCE_S, Broker, connect, free_port, run, start_broker, until


@pytest.fixture
def api(broker: Broker) -> Iterator[Api]:
    """The broker's."""
    with Api(broker.http) as api:
        yield api


def test_leases_and_lists(api: Api) -> None:
    """Who is present, page by page."""
    for n in range(5):
        leased = api.take_lease("h/t p", f"user-{n}", {"n": n})
        assert leased.heartbeat.interval_ms == 30_000
    assert api.count("h/t p") == 5
    assert [member.user for member in api.members("h/t p", limit=2)] == [f"user-{n}" for n in (4, 3, 2, 1, 0)]
    assert api.member("h/t p", "user-3").attributes == {"n": 3}
    assert [each.channel for each in api.channels("h/t", limit=1)] == ["h/t p"]
    assert list(api.channels_of("user-1")) == ["h/t p"]
    assert api.channel("h/t p").observers == 0
    api.take_lease("h/t p", "user-3", {"m": 1, "n": None}, merge=True)
    assert api.member("h/t p", "user-3").attributes == {"m": 1}
    for n in range(5):
        api.end_lease("h/t p", f"user-{n}")
    with pytest.raises(HerenowError, match="not_found") as refused:
        api.member("h/t p", "user-3")
    assert (refused.value.status, refused.value.field) == (404, "user")
    with pytest.raises(HerenowError, match="invalid_field") as refused:
        list(api.members("h/t p", limit=5_000))
    assert refused.value.field == "limit"


def test_many_leases(api: Api) -> None:
    """Each has its answer, whatever becomes of the others, and none of them is told of a request's bounds."""
    fat = {"text": "ä" * 1_800}
    told = api.update_leases(TakeLease("m", f"user-{n}", fat, ttl_ms=20_000) for n in range(1_200))
    assert {answer.status for answer in told} == {201}
    assert told[-1].heartbeat
    assert told[-1].heartbeat.timeout_ms == 20_000
    assert api.count("m") == 1_200
    wanted: list[TakeLease | EndLease] = [
        TakeLease("m", "user-1", {"n": 1}, merge=True, away=True),
        TakeLease("m", ""),
        TakeLease("m", "user-2", {"text": "x" * 5_000}),
        EndLease("m", "user-3"),
        TakeLease("m", "user-3"),
        TakeLease("m", "user-3", visible_to=["staff"]),
    ]
    told = api.update_leases(wanted)
    # The same member twice is done twice, in order: nobody has to look for it.
    assert [answer.status for answer in told] == [200, 400, 413, 204, 201, 200]
    assert [answer.error and (answer.error.code, answer.error.field) for answer in told] == [
        None, ("invalid_field", "user"), ("too_large", "attributes"), None, None, None,
    ]  # fmt: skip
    assert told[0].heartbeat
    assert told[3].heartbeat is None
    changed = api.member("m", "user-1")
    assert (changed.attributes, changed.away) == ({**fat, "n": 1}, True)
    with pytest.raises(HerenowError, match="not_found"):
        api.member("m", "user-3")
    assert api.member("m", "user-2").attributes == fat
    with pytest.raises(HerenowError, match="invalid_attributes"):
        api.update_leases([EndLease("m", "user-5"), TakeLease("m", "user-4", {"n": float("nan")})])
    assert api.member("m", "user-5")
    assert {answer.status for answer in api.update_leases(EndLease("m", f"user-{n}") for n in range(1_200))} == {204}
    assert api.count("m") == 0
    assert api.update_leases([]) == []


def test_many_counts(api: Api) -> None:
    """More of them than one question may have, in names that are long in an address, or have a comma."""
    names = [f"{n} ä" + "ü" * 90 for n in range(250)] + ["c,d", "c"]
    api.update_leases(TakeLease(name, "ada") for name in names[::2])
    assert api.counts(names) == {name: 1 - n % 2 for n, name in enumerate(names)}
    with pytest.raises(HerenowError, match="invalid_field"):
        api.counts(["c", ""])
    assert api.counts([]) == {}
    users = ["ü" * 60 + str(n) for n in range(100)]
    assert api.statuses(users) == []


def test_the_bounds_are_the_broker_s(api: Api, broker: Broker) -> None:
    """As its own document says them."""
    document = httpx.get(f"{broker.http}/openapi.json").json()
    leases = document["components"]["schemas"]["LeasesAsked"]["properties"]["leases"]
    assert leases["maxItems"] == _calls.MAX_LEASES
    for path, name in (("/v1/counts", "channels"), ("/v1/users/status", "ids")):
        [asked] = [each for each in document["paths"][path]["get"]["parameters"] if each["name"] == name]
        assert asked["schema"]["maxItems"] == _calls.MAX_NAMES
    # A kibibyte more is too long.
    text = json.dumps({"leases": [{"channel": "m", "user": "ada", "x": "x" * _calls.LEASES_BYTES}]})
    headers = {"Content-Type": "application/json"}
    assert httpx.post(f"{broker.http}/v1/leases", content=text, headers=headers).status_code == 413
    exactly = '{"leases":[{"channel":"m","user":"ada","end":true}]}'.ljust(_calls.LEASES_BYTES)
    assert httpx.post(f"{broker.http}/v1/leases", content=exactly, headers=headers).status_code == 200


def test_users(api: Api) -> None:
    """Statuses, heartbeats, and a sign-out."""
    assert api.heartbeat("h-bob", away=True).interval_ms == 30_000
    assert api.set_status("h-bob", busy=True, wait_time=5, text="on the phone").away
    assert api.set_status("h-bob", wait_time=None).busy
    api.set_status("h,comma", busy=True)
    told = {status.user: status for status in api.statuses(["h-bob", "h,comma", "nobody", "no,body"])}
    assert told["h-bob"].wait_time is None
    assert told["h-bob"].text == "on the phone"
    assert told["h,comma"].busy
    assert "nobody" not in told
    api.end_heartbeat("h-bob")
    assert not api.status("h-bob").online
    assert api.kick("h-bob").closed == 0
    with pytest.raises(HerenowError, match="missing_field"):
        api.set_status("h-bob")


def test_a_lease_renews_itself(api: Api) -> None:
    """It outlives its time several times over, and is given up in the end."""
    with api.lease("leased", "robot", {"mood": "calm"}, ttl_ms=1_000) as lease:
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            assert api.count("leased") == 1
            time.sleep(0.1)
        lease.set_attributes({"job": "sweep"})
        assert api.member("leased", "robot").attributes == {"mood": "calm", "job": "sweep"}
        # Somebody ended it, or the broker forgot it: it is taken again with all that it shows.
        api.kick("robot")
        while api.count("leased") == 0:
            assert time.monotonic() < end + 5
            time.sleep(0.05)
        while api.member("leased", "robot").attributes != {"mood": "calm", "job": "sweep"}:
            assert time.monotonic() < end + 5
            time.sleep(0.05)
        assert lease.error is None
    assert api.count("leased") == 0


def test_the_same_for_asyncio(broker: Broker) -> None:
    """Leases, lists and streams."""

    async def main() -> None:
        async with AsyncApi(broker.http) as api:
            async with api.lease("a-leased", "robot", {"mood": "calm"}, ttl_ms=1_000) as lease:
                await lease.set_attributes({"job": "sweep"})
                await asyncio.sleep(2.5)
                assert (await api.member("a-leased", "robot")).attributes == {"mood": "calm", "job": "sweep"}
                assert [member.user async for member in api.members("a-leased")] == ["robot"]
                assert [each async for each in api.channels_of("robot")] == ["a-leased"]
                told = await api.update_leases([TakeLease("a-many", "ada", ttl_ms=20_000), EndLease("a-many", "")])
                assert [answer.status for answer in told] == [201, 400]
                assert await api.counts(["a-many", "a-leased", "a,many"]) == {"a-many": 1, "a-leased": 1, "a,many": 0}
            assert await api.count("a-leased") == 0

    run(main())


def test_streams_go_on_where_they_were(broker: Broker) -> None:
    """A cursor that is handed back brings what was missed, and no snapshot."""

    async def main() -> None:
        async with AsyncApi(broker.http) as api:
            events = api.events("streamed", level="events")
            assert (await anext(events)).frame["type"] == "snapshot"
            await api.take_lease("streamed", "bob", {"text": "a line\u2028that is one"})
            event = await anext(events)
            assert event.frame["events"][0]["attributes"] == {"text": "a line\u2028that is one"}
            await events.aclose()  # type: ignore[attr-defined]
            await api.take_lease("streamed", "cy")
            events = api.events("streamed", level="events", cursor=event.cursor)
            event = await anext(events)
            assert event.frame["type"] == "presence"
            assert event.frame["events"][0]["user"] == "cy"
            await events.aclose()  # type: ignore[attr-defined]
            everywhere = api.all_events(["stream*"], level="count")
            assert (await anext(everywhere)).frame["count"] == 2
            await everywhere.aclose()  # type: ignore[attr-defined]
            with pytest.raises(HerenowError, match="invalid_field"):
                await anext(api.events("streamed", level="no level"))  # type: ignore[arg-type]

    run(main())


def test_streams_leave_room_for_questions(broker: Broker) -> None:
    """Each has a connection of its own, however many there are."""

    async def main() -> None:
        async with AsyncApi(broker.http) as api:
            streams = [api.events(f"many-{n}") for n in range(110)]
            await asyncio.wait_for(asyncio.gather(*map(anext, streams)), PATIENCE_S)
            assert await api.count("many-1") == 0
            for stream in streams:
                await stream.aclose()  # type: ignore[attr-defined]

    run(main())


def test_a_stream_outlives_its_broker() -> None:
    """It is begun again when there is one, and then with a snapshot."""

    async def main() -> None:
        port = free_port()
        first = start_broker("--drain-timeout", "1s", port=port)
        async with AsyncApi(first.http) as api:
            events = api.events("streamed")
            await anext(events)
            await asyncio.to_thread(first.stop)
            second = start_broker(port=port)
            try:
                event = await anext(events)
                assert event.frame["type"] == "snapshot"
                await events.aclose()  # type: ignore[attr-defined]
            finally:
                second.stop()

    run(main())


def test_keys(tmp_path: Path) -> None:
    """A refusal says what is lacking."""
    keys, secret = tmp_path / "keys.toml", tmp_path / "secret"
    keys.write_text('[[key]]\nname = "backend"\nsecret = "a-secret-of-the-back-end"\nrights = ["read"]\n')
    secret.write_text("a secret that is long enough to be one")
    broker = start_broker("--api-keys-file", str(keys), "--jwt-secret-file", str(secret))
    try:
        with Api(broker.http) as nobody, Api(broker.http, token="a-secret-of-the-back-end") as backend:
            assert backend.count("room") == 0
            with pytest.raises(HerenowError, match="unauthenticated") as refused:
                nobody.count("room")
            assert refused.value.status == 401
            with pytest.raises(HerenowError, match="forbidden"):
                backend.kick("bob")
    finally:
        broker.stop()


def test_who_operates_the_broker(broker: Broker) -> None:
    """The largest channels, what keeps somebody present, connections, and the broker in numbers."""

    async def main() -> None:
        async with connect(broker.url, "op-ada") as here, AsyncApi(broker.http) as api:
            await here.channel("op-1").join()
            await api.take_lease("op-1", "op-bob")
            await api.take_lease("op-2", "op-bob")
            await api.take_lease("op-3", "op-bob")
            largest = [each async for each in api.largest_channels("op-", limit=1)]
            assert [(each.channel, each.count) for each in largest] == [("op-1", 2), ("op-2", 1), ("op-3", 1)]
            kept = {each.member.user: each.sources[0] async for each in api.kept_members("op-1", limit=1)}
            assert (kept["op-ada"].kind, kept["op-bob"].kind) == ("connection", "lease")
            assert kept["op-bob"].last_seen
            [connection] = [each async for each in api.connections("op-ada")]
            assert connection.channels == ("op-1",)
            assert connection.connection == kept["op-ada"].connection
            assert (await api.key()).rights == ("read", "write", "kick")
            samples = (await api.overview())["samples"]
            assert not (await api.overview(since=samples[-1]["at"] + 60_000))["samples"]
            assert (await api.kick_connection("op-ada", "c999999")).closed == 0
            assert (await api.kick_connection("op-ada", connection.connection)).closed == 1
            await until("ada is sent away", lambda: here.state.phase == "closed")
            for channel in ("op-1", "op-2", "op-3"):
                await api.end_lease(channel, "op-bob")

    run(main())


def test_all_that_the_broker_offers(broker: Broker) -> None:
    """Each operation of its document is asked for by a method of both."""
    document = httpx.get(f"{broker.http}/openapi.json").json()
    # What is for machines that watch it, and the document itself.
    others = {"/healthz", "/readyz", "/metrics", "/openapi.json"}
    offered = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method in methods
        if path not in others
    }
    asked: list[set[tuple[str, str]]] = [set(), set()]

    def what(request: httpx.Request) -> tuple[str, str]:
        parts = request.url.path.split("/")
        for method, path in offered:
            names = path.split("/")
            is_it = all(name == part or name[0] == "{" for name, part in zip(names[1:], parts[1:], strict=False))
            # A name of this test is none of the words of a path.
            if method == request.method and len(names) == len(parts) and is_it:
                return method, path
        raise AssertionError(request.url)

    def record(request: httpx.Request) -> None:
        asked[0].add(what(request))

    async def record_too(request: httpx.Request) -> None:
        asked[1].add(what(request))

    def arguments(api: Api | AsyncApi) -> Iterator[tuple[Any, tuple[Any, ...]]]:
        given = {"": (), "k": ("K",), "ku": ("K", "U"), "l": (["K"],), "e": ([EndLease("K", "U")],)}
        for names, of in {
            "channels largest_channels key overview": "",
            "count channel members kept_members status heartbeat end_heartbeat connections channels_of kick": "k",
            "member take_lease end_lease kick_connection": "ku",
            "counts statuses": "l",
            "update_leases": "e",
        }.items():
            for name in names.split():
                yield getattr(api, name), given[of]
        yield functools.partial(api.set_status, busy=True), ("K",)

    with Api(broker.http, client=httpx.Client(event_hooks={"request": [record]})) as api:
        for method, given in arguments(api):
            with contextlib.suppress(HerenowError):
                told = method(*given)
                if isinstance(told, Iterator):
                    list(told)

    async def main() -> None:
        async with AsyncApi(broker.http, client=httpx.AsyncClient(event_hooks={"request": [record_too]})) as api:
            for method, given in arguments(api):
                with contextlib.suppress(HerenowError):
                    told = method(*given)
                    if isinstance(told, AsyncIterator):
                        [each async for each in told]
                    else:
                        await told
            for stream in (api.events("K"), api.all_events(["K"]), api.user_events("K")):
                with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                    await asyncio.wait_for(anext(stream), 0.3)
                await stream.aclose()  # type: ignore[attr-defined]

    run(main())
    assert asked[1] == offered
    assert asked[0] == {(method, path) for method, path in offered if not path.endswith("/events")}


class Moody(http.server.BaseHTTPRequestHandler):
    """A broker in front of which something fails."""

    answers: ClassVar[list[tuple[int, dict[str, Any]] | None]] = []

    def _answer(self) -> None:
        answer = self.answers.pop(0)
        if answer is None:
            self.connection.close()
            return
        status, body = answer
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self) -> None:
        """What is asked for is read, as the broker would."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer()

    do_GET = do_PUT = do_DELETE = _answer

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def test_what_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is harmless, and what was not done; a kick without an answer is neither."""
    monkeypatch.setattr(_calls, "_FIRST_WAIT_S", 0.01)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Moody)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    unavailable = (503, {"code": "unavailable", "detail": "full"})
    limited = (429, {"code": "rate_limited", "detail": "too fast", "retryAfterMs": 10})
    kicked = (200, {"user": "bob", "closed": 1})
    counted = (200, {"channel": "room", "count": 7})
    try:
        with Api(f"http://127.0.0.1:{server.server_address[1]}") as api:
            Moody.answers = [None, unavailable, limited, counted]
            assert api.count("room") == 7
            Moody.answers = [unavailable] * 9
            with pytest.raises(HerenowError, match="unavailable"):
                api.count("room")
            assert len(Moody.answers) == 5
            Moody.answers = [limited, kicked]
            assert api.kick("bob").closed == 1
            for once in (None, unavailable):
                Moody.answers = [once, kicked]
                with pytest.raises(HerenowError):
                    api.kick("bob")
                assert Moody.answers == [kicked]
            many = [EndLease("room", f"user-{n}") for n in range(2_500)]
            done = (200, {"leases": [{"status": 204}] * 1_000})
            few = (200, {"leases": [{"status": 204}] * 500})
            Moody.answers = [done, limited, None, done, unavailable, few]
            assert [answer.status for answer in api.update_leases(many)] == [204] * 2_500
            # The rest is done whatever becomes of one request.
            refused = (413, {"code": "too_large", "detail": "too long", "field": "leases"})
            Moody.answers = [refused, done, few]
            told = api.update_leases(many)
            assert [answer.status for answer in told] == [413] * 1_000 + [204] * 1_500
            assert told[0].error
            assert told[0].error.code == "too_large"
            # Of another number nobody can tell which is which.
            Moody.answers = [few, done, few]
            told = api.update_leases(many)
            assert [answer.error.code if answer.error else "" for answer in told[::1_000]] == ["unexpected", "", ""]
            # Once nobody answers, the others are not tried one by one.
            Moody.answers = [done] + [None] * 9
            assert [answer.status for answer in api.update_leases(many)] == [204] * 1_000 + [None] * 1_500
            assert len(Moody.answers) == 5
            # Nothing was done: it is raised.
            Moody.answers = [refused] * 3
            with pytest.raises(HerenowError, match="too_large"):
                api.update_leases(many)
            Moody.answers = [(200, {"hello": "I am another server"})]
            with pytest.raises(HerenowError, match="unexpected"):
                api.count("room")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
