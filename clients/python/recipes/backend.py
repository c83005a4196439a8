"""A back end with FastAPI: it mints tokens for pages, and keeps phones present that hold no socket.

pip install 'herenow[http]' fastapi uvicorn pyjwt
JWT_SECRET=… API_KEY=… uvicorn backend:app
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import jwt
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from herenow import HerenowError
from herenow.http import AsyncApi


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client of the broker for as long as the back end runs."""
    async with AsyncApi(os.environ.get("BROKER", "http://127.0.0.1:8080"), token=os.environ.get("API_KEY")) as api:
        app.state.api = api
        yield


app = FastAPI(lifespan=lifespan)


def signed_in(session: Annotated[str, Header()]) -> str:
    """Who asks. Your own sign-in stands here: this one believes whatever it is told."""
    return session


User = Annotated[str, Depends(signed_in)]


@app.exception_handler(HerenowError)
async def refused(_: Request, error: HerenowError) -> JSONResponse:
    """What the broker refuses is refused here, with the same code."""
    return JSONResponse({"code": error.code, "detail": error.message}, status_code=error.status or 503)


@app.get("/presence-token", response_class=PlainTextResponse)
async def token(user: User) -> str:
    """Good for ten minutes; the page's client asks again in time."""
    now = int(time.time())
    claims = {"sub": user, "iat": now, "exp": now + 600, "channels": {"room-*": ["join", "subscribe"]}}
    return jwt.encode(claims, os.environ["JWT_SECRET"], algorithm="HS256")


@app.put("/rooms/{room}/me")
async def come(request: Request, room: str, user: User, attributes: dict[str, Any]) -> dict[str, int]:
    """A phone is here, and told when to say so again."""
    if room.startswith("$"):
        raise HTTPException(404)
    api: AsyncApi = request.app.state.api
    leased = await api.take_lease(f"room-{room}", user, attributes)
    return {"againInMs": leased.heartbeat.interval_ms}


@app.delete("/rooms/{room}/me", status_code=204)
async def go(request: Request, room: str, user: User) -> None:
    """The phone goes."""
    api: AsyncApi = request.app.state.api
    await api.end_lease(f"room-{room}", user)
