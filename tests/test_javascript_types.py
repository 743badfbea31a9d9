"""The JavaScript typedefs match the dataclasses sent to JavaScript: equal names and corresponding types."""

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path

import pytest

from quantlab.runtimes import requests
from quantlab.runtimes.calls import Call, FedTensor
from quantlab.runtimes.exchange import Job, Picture, Taps, TensorFile, TimingPlan
from quantlab.types import Codes, messages
from quantlab.types.executor_options import ExecutorOptions, ExternalFile

JS = Path(__file__).parents[1] / "quantlab" / "runtimes" / "js"

NAMES = {
    Job: "Job",
    TensorFile: "TensorFile",
    Codes: "Codes",
    Taps: "TapList",
    TimingPlan: "TimingPlan",
    ExecutorOptions: "ExecutorOptions",
    ExternalFile: "{ path: string, file: string }",
    Call: "Call",
    FedTensor: "FedTensor",
    messages.TriedOutput: "TriedOutput",
    messages.Block: "Block",
    Picture: "Picture",
    messages.Unread: "{ name: string, reason: string }",
}
"""What JavaScript calls a dataclass."""

_OBJECT = re.compile(r"@typedef \{object\} (\w+)(.*?)(?=@typedef|\*/)", re.DOTALL)
_PROPERTY = re.compile(r"@property \{(.+?)\} \[?(\w+)\]?(?=\s)")
_NAMED = re.compile(r"@typedef \{\{ (.+?) \}\} (\w+)")
_INLINE = re.compile(r"\{ ((?:type|request): '[\w-]+'.*?) \}(?=\s|\}|$)", re.MULTILINE)
_FIELD = re.compile(r"(\w+)(\??): (Record<[^>]+>|'[\w-]+'|[^,]+)(?:, |$)")


def typedefs() -> dict[str, dict[str, str]]:
    """Name of a typedef → property → type; those of messages and requests go by their tag."""
    known: dict[str, dict[str, str]] = {}
    for path in (JS / name for name in ("run.mjs", "taps.mjs", "time.mjs", "repeat.mjs", "try.mjs")):
        text = path.read_text(encoding="utf-8")
        for name, body in _OBJECT.findall(text):
            properties = {prop: kind for kind, prop in _PROPERTY.findall(body)}
            known[_tag(properties) or name] = properties
        for inline, name in _NAMED.findall(text):
            properties = {prop: kind for prop, _, kind in _FIELD.findall(inline)}
            known[_tag(properties) or name] = properties
        for inline in _INLINE.findall(text):
            properties = {name: kind for name, _, kind in _FIELD.findall(inline)}
            known[str(_tag(properties))] = properties
    return known


def _tag(properties: Mapping[str, str]) -> str | None:
    """The tag of what crosses as an object by itself, as `type: done`."""
    return next((f"{key}: {properties[key].strip(chr(39))}" for key in ("type", "request") if key in properties), None)


def in_javascript(kind: object) -> set[str]:
    """The types of JavaScript that mean a type of Python."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in {types.UnionType, typing.Union}:
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return {f"{name}{rest}" for name in in_javascript(inner) for rest in ("", " | null")}
    if origin is typing.Literal:
        return {" | ".join(f"'{argument}'" for argument in arguments)}
    if origin is tuple:
        return {f"{name}[]" for name in in_javascript(arguments[0])}
    if origin is Mapping:
        return {"Record<string, string>"}
    simple = {str: "string", int: "number", float: "number", bool: "boolean"}
    return {simple[kind] if kind in simple else NAMES[kind]}


def crossing() -> dict[str, type]:
    """Name of a typedef → the dataclass that it stands for."""
    plain = {name: kind for kind, name in NAMES.items() if name.isidentifier()}
    asked = (requests.Run, requests.Wait, requests.Time, requests.Tap, requests.Try, requests.Prepare)
    said = (
        *(messages.Ready, messages.Progress, messages.Repeated, messages.Timed),
        *(messages.Tapped, messages.Tried, messages.Prepared, messages.Done, messages.Failed),
    )
    tagged = {f"request: {kind.request}": kind for kind in asked} | {f"type: {kind.type}": kind for kind in said}
    return plain | tagged


PYTHON_ALONE = {
    "Job": {"python", "javascript"},
    "ExecutorOptions": {"model", "saved_model", "signature", "float32_artifact", "swapped", "unsafe"},
    "Block": {"computed_in", "inexact"},
    "type: done": {"ending"},
    "type: failed": {"expected"},
}
"""Fields that JavaScript neither reads nor writes, or has in a typedef of its own."""


@pytest.mark.parametrize("name", crossing())
def test_a_typedef_is_its_dataclass(name):
    kind, properties = crossing()[name], typedefs()[name]
    hints = typing.get_type_hints(kind)
    fields = {field.name for field in dataclasses.fields(kind)} - PYTHON_ALONE.get(name, set())
    assert set(properties) - {"type", "request"} == fields
    for field in fields:
        assert _plain(properties[field]) in in_javascript(hints[field]), field


def _plain(kind: str) -> str:
    """A type as `in_javascript` writes it: blocks of taps are blocks."""
    return kind.replace("TapBlock", "Block")


def test_every_request_of_javascript_is_one():
    tags = {name.removeprefix("request: ") for name in typedefs() if name.startswith("request: ")}
    assert tags == {"run", "wait", "time", "tap", "try", "prepare"} <= set(requests.REQUESTS)


def test_every_message_of_javascript_is_one():
    tags = {name.removeprefix("type: ") for name in typedefs() if name.startswith("type: ")}
    assert (
        tags
        == {"ready", "progress", "repeated", "timed", "tapped", "tried", "prepared", "done", "failed"}
        <= set(messages.MESSAGES)
    )
