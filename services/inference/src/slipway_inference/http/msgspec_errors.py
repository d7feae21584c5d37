"""msgspec's validation messages in our own words."""

from __future__ import annotations

import re

MAX_FIELD_CHARACTERS = 128
_AT = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_INDEX = re.compile(r"\[(\d+)\]")
_NAMED = re.compile(r"(?:missing required|contains unknown) field `(?P<name>.*)`", re.DOTALL)
_EXPECTED = re.compile(r"Expected `(?P<expected>[^`]*)`(?P<rule>.*?)(?:, got `(?P<got>[^`]*)`)?")
_TYPES = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "object | array": "a list or an object",
    "float | null": "a number",
    "str | null": "a text",
}


def explain(message: str) -> tuple[str, str]:
    """Return the path of the field that msgspec complains about, and the rule that it breaks. The
    path is empty for the value as a whole.

    For example "Expected `str`, got `int` - at `$.labels[0]`" gives the field `labels.0`.
    """
    matched = _AT.match(message)
    complaint, path = (matched["what"], matched["path"] or "") if matched else (message, "")
    field = _INDEX.sub(r".\1", path).replace("[...]", "").strip(".")
    if (named := _NAMED.search(complaint)) is not None:
        field = f"{field}.{named['name']}".strip(".")[:MAX_FIELD_CHARACTERS]
        return field, ("is missing" if "missing" in complaint else "is not a field of this request")
    if (expected := _EXPECTED.fullmatch(complaint)) is not None:
        rule = f"must be {_TYPES.get(expected['expected'], expected['expected'])}{expected['rule']}"
        got = expected["got"]
        return field, f"{rule}, not {_TYPES.get(got, got)}" if got else rule
    return field, complaint[0].lower() + complaint[1:].replace("`", "")
