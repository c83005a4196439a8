"""What the schemas can't say."""

import json

import schemathesis

# Names count in bytes of UTF-8, and a schema counts characters: what is too long only in bytes is
# neither valid nor invalid by the schema.
LONGEST = 200


def too_long_in_bytes(value):
    if isinstance(value, dict):
        return any(too_long_in_bytes(item) for pair in value.items() for item in pair)
    if isinstance(value, list):
        return any(too_long_in_bytes(item) for item in value)
    return isinstance(value, str) and len(value) <= LONGEST + 56 and len(value.encode("utf-8", "replace")) > LONGEST


# Attributes are bounded by their bytes as JSON and by their keys, and those that are null count for
# neither. A schema counts all keys and no bytes. The bytes have a margin: numbers are written in
# more than one way.
MOST_KEYS = 64
MOST_BYTES = 4000


def attributes_out_of_schema(body):
    attributes = body.get("attributes") if isinstance(body, dict) else None
    if not isinstance(attributes, dict):
        return False
    kept = {key: value for key, value in attributes.items() if value is not None}
    size = len(json.dumps(kept, ensure_ascii=False).encode("utf-8", "replace"))
    return size > MOST_BYTES or len(attributes) > MOST_KEYS >= len(kept)


@schemathesis.hook
def filter_case(context, case):
    body = case.body if isinstance(case.body, (dict, list, str)) else None
    parts = (case.path_parameters, case.query, body)
    return not attributes_out_of_schema(body) and not any(too_long_in_bytes(part) for part in parts if part)
