"""Parses slipway.yaml into a Manifest, with errors that name the key and its allowed values."""

from __future__ import annotations

import re
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import yaml

from slipway_core.errors import ModelInvalid
from slipway_core.package.manifest import MANIFEST_NAME, NAME_PATTERN, Manifest

_PATH = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(?P<key>.*)`")
_MISSING = re.compile(r"missing required field `(?P<key>.*)`")


class _StrictLoader(yaml.SafeLoader):
    """A YAML loader that rejects repeated keys and aliases, which can expand to gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise ModelInvalid(
                f"{MANIFEST_NAME}: YAML aliases (*name) are not allowed: write the value out"
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if not isinstance(key, str):
                raise ModelInvalid(
                    f"{MANIFEST_NAME}: the key {key!r} must be text: write it in quotes"
                )
            if keys.count(key) > 1:
                raise ModelInvalid(f"{MANIFEST_NAME}: `{key}` is given twice")
        return super().construct_mapping(node, deep)


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
        raise ModelInvalid(f"{MANIFEST_NAME}: {_explain(str(error))}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _explain(message: str) -> str:
    """Reword a message of msgspec: name the invalid key and its allowed values."""
    match = _PATH.match(message)
    what = match["what"] if match else message
    place = (match["path"] if match else "") or ""
    path = [part for part in re.split(r"[.\[\]]+", place) if part]
    kind = _type_at(path)
    if unknown := _UNKNOWN.search(what):
        return f"`{_dotted([*path, unknown['key']])}` is not a key; the keys are {_keys(kind)}"
    if missing := _MISSING.search(what):
        key = missing["key"]
        return f"`{_dotted([*path, key])}` is missing{_choices(_type_at([*path, key]))}"
    if path == ["name"] and "regex" in what:
        return (
            f"`name` must be at most 63 lower-case letters, digits, `.`, `_`, `-`: {NAME_PATTERN}"
        )
    hint = (
        ": write it in quotes" if re.match(r"Expected `str`, got `(int|float|bool)`", what) else ""
    )
    return f"`{_dotted(path)}` is wrong: {what[:1].lower()}{what[1:]}{hint}{_choices(kind)}"


def _dotted(path: list[str]) -> str:
    return ".".join(part for part in path if part != "...")


def _type_at(path: list[str]) -> Any:
    """Return the declared type at a path such as ["inputs", "0", "shape"]; None for Any."""
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
