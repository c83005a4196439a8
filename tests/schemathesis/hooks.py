"""What the schemas can't say."""

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


@schemathesis.hook
def filter_case(context, case):
    body = case.body if isinstance(case.body, (dict, list, str)) else None
    parts = (case.path_parameters, case.query, body)
    return not any(too_long_in_bytes(part) for part in parts if part)
