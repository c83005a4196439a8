"""The recipes, and what the README shows, run."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import signal
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from herenow import HerenowError, connect
from herenow.http import AsyncApi

from .conftest import Broker, program, run, start_broker, until

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


def test_the_plot(broker: Broker, tmp_path: Path) -> None:
    """Who was there before, who came, and who went."""
    pytest.importorskip("matplotlib")
    plot = recipe("plot")

    async def main() -> None:
        async with AsyncApi(broker.http) as api:
            await api.take_lease("plotted", "early")
            watching = asyncio.get_running_loop().create_task(plot.watch(broker.http, "plotted", seconds=2))
            await observed(broker, "plotted", 1)
            await api.take_lease("plotted", "late")
            await asyncio.sleep(0.2)
            await api.end_lease("plotted", "early")
            spans = await watching
        assert [user for user, *_ in spans.gone] == ["early", "late"]
        assert all(since <= until for _, since, until in spans.gone)
        figure = plot.draw(spans)
        figure.savefig(tmp_path / "plot.png")
        assert (tmp_path / "plot.png").stat().st_size > 5_000

    run(main())
