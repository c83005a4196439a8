"""The recipes, and what the README shows, run."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from herenow import HerenowError, connect
from herenow.http import Api, AsyncApi, EndLease, TakeLease

from .conftest import PATIENCE_S, REPOSITORY, Broker, free_port, program, run, start_broker, until

PYTHON = Path(__file__).parents[1]
BLOCKS = re.findall(r"```python\n(.*?)```", (PYTHON / "README.md").read_text(), re.DOTALL)


def recipe(name: str) -> types.ModuleType:
    """A recipe as a module."""
    spec = importlib.util.spec_from_file_location(name, PYTHON / f"recipes/{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


async def observed(broker: Broker, channel: str, observers: int) -> None:
    """Waits until so many watch a channel."""
    async with AsyncApi(broker.http) as api:
        while (await api.channel(channel)).observers < observers:  # noqa: ASYNC110 - it is the broker's to tell
            await asyncio.sleep(0.01)


def test_the_ten_lines(broker: Broker) -> None:
    """What the README begins with, as it stands but for the address."""

    async def main() -> None:
        shown = program(BLOCKS[0].replace("ws://127.0.0.1:8080/ws", broker.url).replace('"room"', '"ten lines"'))
        async with connect(broker.url, user="bob") as bob:
            room = bob.channel("ten lines")
            await room.subscribe()
            await until("ada is there", lambda: room.get("ada"))
            # It watches a moment after it has joined.
            await observed(broker, "ten lines", 2)
            await room.join({"mood": "curious"})
            assert shown.stdout
            while (line := await asyncio.to_thread(shown.stdout.readline)).startswith("join ada"):
                pass
            assert line == "join bob {'mood': 'curious'} 2\n"
            shown.send_signal(signal.SIGINT)
            await asyncio.to_thread(shown.communicate, timeout=10)
            await until("ada has left", lambda: not room.get("ada"))

    assert len([line for line in BLOCKS[0].splitlines() if line]) <= 10
    run(main())


def test_the_readme_s_http(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    """Its second example."""
    exec(compile(BLOCKS[1].replace("http://127.0.0.1:8080", broker.http), "README.md", "exec"), {})
    assert capsys.readouterr().out == "1 ['robot']\nTrue []\n"


def test_the_readme_s_many_leases(broker: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    """Its third example."""
    exec(compile(BLOCKS[2].replace("http://127.0.0.1:8080", broker.http), "README.md", "exec"), {})
    assert capsys.readouterr().out == "{'hall': 5000, 'room': 0}\n"
    with Api(broker.http) as api:
        assert api.count("hall") == 0


def test_the_links_hold_where_it_is_published() -> None:
    """Each is whole, and what it names of the repository is there."""
    targets = re.findall(r"\]\(([^)]+)\)", (PYTHON / "README.md").read_text())
    source = "https://github.com/herenow-presence/herenow/blob/main/"
    ours = [target.removeprefix(source) for target in targets if target.startswith(source)]
    assert len(ours) > 5
    assert [path for path in ours if not (REPOSITORY / path).is_file()] == []
    assert all(target.startswith("https://") for target in targets)


def test_every_method_is_told() -> None:
    """In the README's table, of both doors to HTTP; streams stand below it."""
    text = (PYTHON / "README.md").read_text()
    for kind in (Api, AsyncApi):
        for name in vars(kind):
            assert name.startswith("_") or name == "close" or re.search(rf"\b{name}\(", text), (kind, name)


def test_the_bot_greets(broker: Broker) -> None:
    """Whoever comes reads it."""

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(recipe("bot").greet(broker.url, "greeted"))
        async with connect(broker.url, user="guest") as here:
            room = here.channel("greeted")
            await room.subscribe()
            await until("the bot is there", lambda: room.get("greeter"))
            await asyncio.sleep(0.2)
            await room.join()

            def says() -> Any:
                bot = room.get("greeter")
                return bot and bot.attributes.get("says") == "Hello, guest!"

            await until("it greets", says)
            task.cancel()
            await until("it leaves", lambda: not room.get("greeter"))
        await asyncio.wait([task])

    run(main())


def test_the_back_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page gets a token that the broker takes, and a phone is present without a socket."""
    pytest.importorskip("fastapi")
    import httpx

    secret = "a secret that is long enough to be one"
    keys, jwt_secret = tmp_path / "keys.toml", tmp_path / "secret"
    keys.write_text('[[key]]\nname = "b"\nsecret = "a-secret-of-the-back-end"\nrights = ["read", "write"]\n')
    jwt_secret.write_text(secret)
    broker = start_broker("--api-keys-file", str(keys), "--jwt-secret-file", str(jwt_secret))
    monkeypatch.setenv("BROKER", broker.http)
    monkeypatch.setenv("API_KEY", "a-secret-of-the-back-end")
    monkeypatch.setenv("JWT_SECRET", secret)

    async def main() -> None:
        app = recipe("backend").app
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://back-end") as browser,
        ):

            async def fetch() -> str:
                return (await browser.get("/presence-token", headers={"Session": "ada"})).text

            async with connect(broker.url, token=fetch) as here:
                room = here.channel("room-1")
                await room.subscribe()
                phone = {"Session": "bob"}
                answer = await browser.put("/rooms/1/me", json={"device": "phone"}, headers=phone)
                assert answer.json() == {"againInMs": 30_000}
                await until("the phone is there", lambda: room.get("bob"))
                assert (await browser.delete("/rooms/1/me", headers=phone)).status_code == 204
                await until("the phone goes", lambda: not room.get("bob"))
                bad = await browser.put("/rooms/1/me", json={"x": "y" * 5_000}, headers=phone)
                assert bad.json()["code"] == "too_large"
                with pytest.raises(HerenowError, match="forbidden"):
                    await here.channel("hall").join()

    try:
        run(main())
    finally:
        broker.stop()


def test_the_notebook(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Jupyter runs it: it shows a picture, of who was there before, who came, and who went."""
    pytest.importorskip("matplotlib")
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    # Nothing of whoever runs the tests, and nothing for them.
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    notebook = nbformat.read(PYTHON / "recipes/plot.ipynb", as_version=4)
    nbformat.validate(notebook)
    [watch] = [cell for cell in notebook.cells if "3_600" in cell.source]
    assert '"http://127.0.0.1:8080", "room", seconds=3_600' in watch.source
    watch.source = f'spans = await watch("{broker.http}", "plotted", seconds=1.5)'
    notebook.cells.append(nbformat.v4.new_code_cell("[user for user, since, until in spans.gone if since <= until]"))

    async def main() -> None:
        async with AsyncApi(broker.http) as api:
            await api.take_lease("plotted", "early")
            client = nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(PYTHON / "recipes")}})
            running = asyncio.get_running_loop().create_task(client.async_execute())
            await observed(broker, "plotted", 1)
            await api.take_lease("plotted", "late")
            await asyncio.sleep(0.2)
            await api.end_lease("plotted", "early")
            await running

    asyncio.run(main())
    *_, drawn, users = notebook.cells
    assert len(drawn.outputs[0].data["image/png"]) > 5_000
    assert users.outputs[0].data["text/plain"] == "['early', 'late']"


def test_the_plot_over_a_gap() -> None:
    """Who went while nobody heard it is gone by the next snapshot, and nobody who stayed came twice."""
    pytest.importorskip("matplotlib")
    spans = recipe("plot").Spans(0, 10)
    members = [{"user": user, "joinedAt": 1_000} for user in ("ada", "bob")]
    spans.take({"type": "snapshot", "reason": "subscribed", "members": members})
    members[0]["joinedAt"] = 5_000
    spans.take({"type": "snapshot", "reason": "subscribed", "members": members[:1]})
    spans.take({"type": "presence", "events": [{"event": "leave", "user": "ada", "at": 9_000}]})
    assert [(user, since) for user, since, _ in spans.gone] == [("bob", 1), ("ada", 1)]
    assert spans.gone[1][2] == 9


class Mirrored:
    """A broker and a mirror of two of its channels, either of which may be killed."""

    channels = ("lobby", "hall/2")

    def __init__(self, folder: Path) -> None:
        self.file = folder / "mirror.db"
        self.chance = random.Random(os.environ.get("HERENOW_SEED", 7))
        self.port = free_port()
        self.start_broker()
        self.start_mirror()

    def start_broker(self) -> None:
        """On the port that the mirror knows."""
        self.broker = start_broker(
            "--max-requests-per-second", "100000", "--max-requests-burst", "100000", port=self.port
        )

    def start_mirror(self) -> None:
        """Upon the table that is there, if there is one."""
        recipe = str(PYTHON / "recipes/mirror.py")
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", recipe, self.broker.http, str(self.file), *self.channels]
        )

    def kill_broker(self) -> None:
        """As a machine that loses power does, and it is back with nobody."""
        self.broker.process.kill()
        self.broker.process.communicate()
        self.start_broker()

    def kill_mirror(self) -> None:
        """The same for the mirror; it is not back yet."""
        self.process.kill()
        assert self.process.wait() == -signal.SIGKILL

    def act(self, many: int) -> None:
        """Some come, some say something else, and some go."""
        with Api(self.broker.http) as api:
            for _ in range(many):
                channel, user = self.chance.choice(self.channels), f"user-{self.chance.randrange(40)}"
                if self.chance.random() < 0.3:
                    api.end_lease(channel, user)
                else:
                    api.take_lease(channel, user, {"n": self.chance.random(), "text": "ä" * self.chance.randrange(9)})

    def crowd(self, many: int, goes: bool = False) -> None:
        """So many come, or go: a snapshot in many parts."""
        text = {"text": "x" * 200}
        with Api(self.broker.http) as api:
            users = [f"crowd-{n}" for n in range(many)]
            told = api.update_leases(
                EndLease("lobby", user) if goes else TakeLease("lobby", user, text) for user in users
            )
        assert not [answer.error for answer in told if answer.error]

    def truth(self) -> set[tuple[str, str, str]]:
        """By the broker."""
        with Api(self.broker.http) as api:
            return {
                (channel, member.user, json.dumps(member.attributes))
                for channel in self.channels
                for member in api.members(channel, limit=1_000)
            }

    def table(self) -> set[tuple[str, str, str]]:
        """By the mirror; nothing while it makes the table."""
        try:
            # Read as anybody may who has the file; the mirror's transactions are seen whole or not at all.
            db = sqlite3.connect(self.file, timeout=10)
            try:
                return set(db.execute("SELECT channel, user, attributes FROM members"))
            finally:
                db.close()
        except sqlite3.OperationalError:
            return set()

    def write(self, statement: str, *values: str) -> None:
        """Into the mirror's table, behind its back."""
        db = sqlite3.connect(self.file, timeout=10)
        with db:
            db.execute(statement, values)
        db.close()

    def equal(self, *odd: tuple[str, str, str]) -> int:
        """Waits until both have the same, but for what is odd, and says how many that are."""
        wanted, end = self.truth().union(odd), time.monotonic() + PATIENCE_S
        while (there := self.table()) != wanted:
            assert time.monotonic() < end, sorted(there ^ wanted)[:5]
            assert self.process.poll() is None
            time.sleep(0.02)
        return len(wanted)


def test_the_mirror(tmp_path: Path) -> None:
    """Its table equals the broker whenever both rest, whichever of them was killed, and when."""
    both = Mirrored(tmp_path)

    def mirror_dies() -> None:
        both.kill_mirror()
        both.start_mirror()

    def mirror_is_down() -> None:
        both.act(1)
        both.equal()
        both.kill_mirror()
        # A row that no snapshot would leave there: what is told from here on is what was missed.
        odd = ("lobby", "odd", "{}")
        both.write("INSERT INTO members VALUES (?, ?, ?)", *odd)
        both.act(30)
        both.start_mirror()
        both.equal(odd)
        both.write("DELETE FROM members WHERE user = ?", "odd")

    def dies_in_a_crowd() -> None:
        # Somewhere in a large snapshot, or before or behind it.
        both.kill_mirror()
        both.crowd(2_000)
        both.start_mirror()
        time.sleep(both.chance.uniform(0.2, 0.6))
        both.kill_mirror()
        both.crowd(500, goes=True)
        both.start_mirror()

    def both_die() -> None:
        both.kill_mirror()
        both.kill_broker()
        both.act(20)
        both.start_mirror()

    troubles: list[Callable[[], None]] = [
        both.kill_broker, mirror_dies, mirror_is_down, dies_in_a_crowd, both_die, lambda: None,
    ]  # fmt: skip
    both.chance.shuffle(troubles)
    try:
        both.act(30)
        assert both.equal() > 5
        for trouble in troubles:
            both.act(20)
            trouble()
            both.act(20)
            both.equal()
    finally:
        both.process.kill()
        both.process.wait()
        both.broker.stop()
