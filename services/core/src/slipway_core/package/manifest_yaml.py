"""Parses slipway.yaml into a Manifest, with errors that name the key and its allowed values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import yaml

from slipway_core.errors import ModelInvalid
from slipway_core.errors.msgspec_messages import Violation, parse_message
from slipway_core.package.manifest import MANIFEST_NAME, NAME_PATTERN, Manifest

_UNQUOTED = re.compile(r"Expected `str`, got `(int|float|bool)`")


MAX_VALUES = 50_000
"""Keys and values, lists and objects included: more than the labels of any data set."""
MAX_SHOWN_CHARACTERS = 60
_MAX_INTEGER = 2**63
_PLAIN_TAGS = tuple(
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map")
)


class _StrictLoader(yaml.SafeLoader):
    """A YAML loader of the values that JSON has too.

    It rejects repeated keys, too many values, and aliases, which can expand to gigabytes. Dates
    stay text.
    """

    yaml_constructors = {  # noqa: RUF012 - as in the base class
        tag: constructor
        for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag in _PLAIN_TAGS
    }
    yaml_implicit_resolvers = {  # noqa: RUF012 - as in the base class
        first: [(tag, pattern) for tag, pattern in resolvers if tag in _PLAIN_TAGS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._count = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise ModelInvalid(
                f"{MANIFEST_NAME}: YAML aliases (*name) are not allowed: write the value out"
            )
        self._count += 1
        if self._count > MAX_VALUES:
            raise ModelInvalid(f"{MANIFEST_NAME} holds more than {MAX_VALUES} keys and values")
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return the value of a node. Python limits the digits of a number that it converts."""
        try:
            value = super().construct_object(node, deep)
        except (ValueError, OverflowError):
            raise _unreadable(node) from None
        if isinstance(value, int) and not -_MAX_INTEGER <= value < _MAX_INTEGER:
            raise _unreadable(node)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise ModelInvalid(
                    f"{MANIFEST_NAME}: the key {_shorten(repr(key))} must be text: write it in "
                    "quotes"
                )
            if key in keys:
                raise ModelInvalid(f"{MANIFEST_NAME}: `{_shorten(key)}` is given twice")
            keys.add(key)
        return super().construct_mapping(node, deep)


def _unreadable(node: yaml.Node) -> ModelInvalid:
    line = node.start_mark.line + 1
    return ModelInvalid(
        f"{MANIFEST_NAME}: {_shorten(node.value)} in line {line} is no number that 64 bits can "
        "hold: write it in quotes if it is text"
    )


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}..."


def parse_manifest(content: bytes) -> Manifest:
    """Parse the content of slipway.yaml. Raises ModelInvalid."""
    try:
        document = yaml.load(content, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ModelInvalid(f"{MANIFEST_NAME} is not YAML: {_one_line(error)}") from None
    if not isinstance(document, dict):
        raise ModelInvalid(f"{MANIFEST_NAME} must be a mapping of keys, such as `name: my-model`")
    if "digest" in document:
        raise ModelInvalid(f"{MANIFEST_NAME}: `digest` is computed from the package: leave it out")
    try:
        return msgspec.convert(document, Manifest)
    except msgspec.ValidationError as error:
        raise ModelInvalid(f"{MANIFEST_NAME}: {_explain(parse_message(str(error)))}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _explain(violation: Violation) -> str:
    """Name the invalid key and its allowed values."""
    path, rule = violation.path, violation.rule
    if violation.unknown:
        key, known = _dotted(path, violation.unknown), _keys(_type_at(path))
        return f"`{_shorten(key)}` is not a key; the keys are {known}"
    if violation.missing:
        key = _dotted(path, violation.missing)
        return f"`{key}` is missing{_choices(_type_at((*path, violation.missing)))}"
    if path == ("name",) and "regex" in rule:
        return (
            f"`name` must be at most 63 lower-case letters, digits, `.`, `_`, `-`: {NAME_PATTERN}"
        )
    hint = ": write it in quotes" if _UNQUOTED.match(rule) else ""
    choices = _choices(_type_at(path))
    return f"`{_dotted(path)}` is wrong: {rule[:1].lower()}{rule[1:]}{hint}{choices}"


def _dotted(path: Sequence[str], *names: str) -> str:
    return ".".join((*path, *names))


def _type_at(path: Sequence[str]) -> Any:
    """Return the declared type at a path such as ("inputs", "0", "shape"); None for Any."""
    kind: Any = Manifest
    for part in path:
        kind = _plain(kind)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            kind = get_type_hints(kind, include_extras=True).get(part)
        elif get_origin(kind) is list:
            kind = get_args(kind)[0]
        else:
            return None
    return _plain(kind)


def _plain(kind: Any) -> Any:
    """Return the type without its annotations and without None."""
    if get_origin(kind) is Annotated:
        return get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        return next(option for option in get_args(kind) if option is not type(None))
    return kind


def _keys(kind: Any) -> str:
    return ", ".join(name for name in kind.__struct_fields__ if name != "digest")


def _choices(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"; it may be {', '.join(get_args(kind))}"
    return ""
