"""Where the broker is."""

from __future__ import annotations

import re
from urllib.parse import quote

from ._error import HerenowError

_FORM = re.compile(r"(?:ws|http)(s?://[^\s/?#:][^\s/?#]*)/?([^\s?#]*)(\?[^\s#]*)?(?:#|$)", re.IGNORECASE)


def socket_address(url: str) -> str:
    """The WebSocket's: ``https:`` is as good as ``wss:``, and a path of ``/`` means ``/ws``."""
    parts = _FORM.match(url)
    if not parts:
        raise HerenowError("invalid_url", f"{url} is not like wss://HOST/ws")
    host, path, query = parts[1], parts[2], parts[3] or ""
    return f"ws{host}/{path or 'ws'}{query}"


def with_user(url: str, user: str) -> str:
    """As somebody; counts before a user that the address may name."""
    before, mark, after = url.partition("?")
    return f"{before}?user={quote(user, safe='')}{'&' if mark else ''}{after}"
