"""Whether a webhook's delivery is the broker's: Standard Webhooks, as ``standardwebhooks`` verifies them.

This needs it: ``pip install 'herenow[webhooks]'``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from ._error import HerenowError

__all__ = ["verify"]


def verify(body: bytes | str, headers: Mapping[str, str], secret: str) -> Any:
    """What a delivery says, as JSON, once its signature is right.

    ``body`` as it came, byte for byte. ``secret`` as the broker has it: ``whsec_…``. Raises
    :class:`herenow.HerenowError` ``unauthenticated`` if the delivery was not signed with it, or too long ago.
    """
    text = body.decode() if isinstance(body, bytes) else body
    lower = {name.lower(): value for name, value in headers.items()}
    try:
        Webhook(secret).verify(text, lower)
    except (WebhookVerificationError, LookupError, ValueError) as cause:
        raise HerenowError("unauthenticated", f"the delivery is not signed as it should be: {cause}") from cause
    return json.loads(text)
