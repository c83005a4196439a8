"""What can be said as JSON, and what cannot."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ._error import HerenowError

Attributes = Mapping[str, Any]
"""What members carry and tokens say: any JSON object."""


def said(frame: Mapping[str, Any]) -> str:
    """A frame as it goes over the wire."""
    return json.dumps(frame, separators=(",", ":"), ensure_ascii=False)


def frame_of(kind: str, **fields: Any) -> dict[str, Any]:
    """A frame without what is absent."""
    return {"type": kind, **{name: value for name, value in fields.items() if value is not None}}


def copied(value: Any, field: str) -> dict[str, Any]:
    """A copy, as the broker will read it, so that what the program does to its object later changes nothing.

    Raises ``invalid_`` and the field, if it is no object or JSON cannot say it: NaN, one that contains
    itself, a key that is no text. What is not found here would be found by the broker, without a
    word of which call it came from.
    """
    try:
        if isinstance(value, Mapping):
            return {_key(key): _plain(inner) for key, inner in value.items()}
        cause: Exception = TypeError(f"it is a {type(value).__name__}")
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        cause = error
    raise HerenowError(
        f"invalid_{field}", f"{field} must be an object that JSON can say: {cause}", field=field
    ) from cause


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        # One half of a pair of surrogates is no text.
        value.encode()
        return str(value)
    if isinstance(value, int):
        float(value)
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} is no number of JSON")
        return float(value)
    if isinstance(value, Mapping):
        return {_key(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    raise TypeError(f"there is a {type(value).__name__} in it")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"the key {key!r} is no text")
    key.encode()
    return str(key)


def same(one: Any, other: Any) -> bool:
    """Whether both say the same. ``1``, ``1.0`` and ``True`` are equal in Python, and differ here."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)
