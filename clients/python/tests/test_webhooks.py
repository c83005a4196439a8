"""Deliveries that are signed, and such that are not."""

from __future__ import annotations

import base64
import datetime
import json

import pytest
from standardwebhooks.webhooks import Webhook

from herenow import HerenowError
from herenow.webhooks import verify

SECRET = "whsec_" + base64.b64encode(b"a secret of the webhook's own").decode()


def test_deliveries() -> None:
    """The body is what was signed, and nothing else is believed."""
    body = json.dumps({"type": "presence", "text": "ä"}, ensure_ascii=False)
    now = datetime.datetime.now(datetime.timezone.utc)
    headers = {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(int(now.timestamp())),
        "Webhook-Signature": Webhook(SECRET).sign("msg_1", now, body),
    }
    assert verify(body.encode(), headers, SECRET) == {"type": "presence", "text": "ä"}
    old = {**headers, "Webhook-Timestamp": str(int(now.timestamp()) - 3_600)}
    for text, told in ((body + " ", headers), (body, {}), (body, old)):
        with pytest.raises(HerenowError, match="unauthenticated"):
            verify(text, told, SECRET)
