"""msgspec's validation errors in the words of our error messages."""

from __future__ import annotations

import re

from slipway_core.errors.msgspec_messages import parse_message

MAX_FIELD_CHARACTERS = 128
"""How much of a field's name from a client an error repeats."""
_EXPECTED = re.compile(r"Expected `(?P<expected>[^`]*)`(?P<rule>.*?)(?:, got `(?P<got>[^`]*)`)?")
_BOUND = re.compile(r" (?P<length>of length )?(?P<comparison>[<>]=?) (?P<number>\S+)")
_COMPARISONS = {">=": "of at least", "<=": "of at most", ">": "greater than", "<": "less than"}
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
    """Return the path of the invalid field and the rule that it breaks. The path is empty for the
    value as a whole.

    For example "Expected `str`, got `int` - at `$.labels[0]`" gives the field `labels.0`.
    """
    violation = parse_message(message)
    if name := violation.missing or violation.unknown:
        field = ".".join([*violation.path, name])[:MAX_FIELD_CHARACTERS]
        return field, "is missing" if violation.missing else "is not a field of this request"
    return ".".join(violation.path), _rule(violation.rule)


def _rule(sentence: str) -> str:
    expected = _EXPECTED.fullmatch(sentence)
    if expected is None:
        return sentence[0].lower() + sentence[1:].replace("`", "")
    kind, got = expected["expected"], expected["got"]
    rule = f"must be {_TYPES.get(kind, kind)}{_bound(kind, expected['rule'])}"
    return f"{rule}, not {_TYPES.get(got, got)}" if got else rule


def _bound(kind: str, text: str) -> str:
    """Return msgspec's bound, such as " of length >= 1" or " > 0.0", in words."""
    bound = _BOUND.fullmatch(text)
    if bound is None:
        return text
    number = bound["number"].removesuffix(".0")
    words = f"{_COMPARISONS[bound['comparison']]} {number}"
    if not bound["length"]:
        return f" {words}"
    unit = "character" if kind.startswith("str") else "element"
    return f" {words} {unit}{'' if number == '1' else 's'}"
