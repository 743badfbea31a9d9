"""Lets a dataclass stand for a group of options in the signature of several commands."""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["spread"]


def spread(command: Callable[..., int]) -> Callable[..., int]:
    """Replace each parameter that is a dataclass by one parameter for each of its fields.

    A field keeps its annotation and default. The command still receives the dataclass.
    """
    hints = typing.get_type_hints(command, include_extras=True)
    parameters = inspect.signature(command).parameters
    groups = {name: hints[name] for name in parameters if dataclasses.is_dataclass(hints[name])}

    @functools.wraps(command)
    def call(**given: Any) -> int:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in dataclasses.fields(group)})
            for name, group in groups.items()
        }
        return command(**given, **made)

    spread_out = [option for name in parameters for option in _parameters(parameters[name], hints[name])]
    call.__signature__ = inspect.Signature(spread_out, return_annotation=hints["return"])  # type: ignore[attr-defined]
    call.__annotations__ = {option.name: option.annotation for option in spread_out} | {"return": hints["return"]}
    return call


def _parameters(parameter: inspect.Parameter, hint: Any) -> Iterator[inspect.Parameter]:
    if not dataclasses.is_dataclass(hint):
        yield parameter.replace(annotation=hint)
        return
    fields = typing.get_type_hints(hint, include_extras=True)
    for field in dataclasses.fields(hint):
        default = inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default
        yield inspect.Parameter(field.name, parameter.kind, default=default, annotation=fields[field.name])
