"""Reads `[analyze]` of a quantlab.toml: the model, its samples, and what is measured."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from quantlab.cli.config import read_table
from quantlab.cli.shard_options import SHARD_KEYS, overridden, shard_options
from quantlab.errors import UsageError
from quantlab.names import excerpt, nearest
from quantlab.types import KeepSamples, StoreKind

__all__ = ["ANALYZE_KEYS", "Analyzed", "analyzed", "read_analyze"]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_count(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 1


def _is_names(value: Any) -> bool:
    return _is_text(value) or (isinstance(value, list) and bool(value) and all(map(_is_text, value)))


_Rule = tuple[Callable[[Any], bool], str]
_TEXT: _Rule = (_is_text, "text in quotes")
_NAMES: _Rule = (_is_names, 'a list of names: ["…"]')
_COUNT: _Rule = (_is_count(1), "a whole number of at least 1")
_STORES = get_args(StoreKind)
_KEPT = get_args(KeepSamples)

ANALYZE_KEYS: Mapping[str, _Rule] = {
    "model": _TEXT,
    "data": _TEXT,
    "study": _TEXT,
    "reference": _TEXT,
    "calibration": _TEXT,
    "labels": _TEXT,
    "class_names": _NAMES,
    "ignore_label": (_is_count(-(2**31)), "a whole number"),
    "slices": _NAMES,
    "group": _TEXT,
    "settings": _NAMES,
    "runtimes": _NAMES,
    "limit": _COUNT,
    "seed": (_is_count(0), "a whole number of at least 0"),
    "pipeline": _TEXT,
    "serving": _TEXT,
    "batch_size": _COUNT,
    "metric": _TEXT,
    "score_output": _TEXT,
    "time_limit": (_is_seconds, "a number of seconds, at least 1"),
    "shards": _COUNT,
    "shard_size": _COUNT,
    "engine": _TEXT,
    "address": _TEXT,
    "workers": _COUNT,
    "keep_samples": (lambda value: value in _KEPT, '"all" or "few"'),
    "store": (lambda value: value in _STORES, '"outputs" or "scores"'),
}
"""Key → whether a value is one of its kind, and the kind in words. They are the options of `quantlab analyze`; `study`
is its `--out`."""

_LISTS = ("settings", "runtimes", "slices")


@dataclass(frozen=True, slots=True)
class Analyzed:
    """What is analyzed, from options and `[analyze]` together."""

    model: Path
    data: str
    study: Path | None
    """The folder of the study; None for `<model>.study`."""
    options: Mapping[str, Any]
    """Other fields of `AnalyzeOptions`."""


def read_analyze(config: Path | None, given: Mapping[str, Any]) -> Analyzed:
    """Read `[analyze]`; options override its keys.

    Args:
        config: The file; None means quantlab.toml in the current folder, if it exists.
        given: Keys by name; None is an option that was not given.

    Raises:
        UsageError: If the file is missing or broken, a key or value is invalid, or no model or samples are named.
    """
    table = read_table("analyze", config)
    for key, value in table.items():
        if key not in ANALYZE_KEYS:
            raise UsageError(f"[analyze] has no key '{excerpt(key)}'; {nearest(key, ANALYZE_KEYS)}")
        holds, words = ANALYZE_KEYS[key]
        if not holds(value):
            raise UsageError(f"{key} is {excerpt(repr(value))} and must be {words}; correct it in [analyze]")
    return analyzed(overridden(table, {key: value for key, value in given.items() if value is not None}))


def analyzed(given: Mapping[str, Any]) -> Analyzed:
    """The keys of `[analyze]` as what they say.

    Raises:
        UsageError: If no model or samples are named, or what is to be kept is unknown.
    """
    table = {key: value for key, value in given.items() if value is not None}
    for key, option in (("model", "as the first argument"), ("data", "with --data")):
        if key not in table:
            raise UsageError(f"no {key} is named; give it {option}, or as '{key}' in [analyze] of a quantlab.toml")
    for key in _LISTS:
        if isinstance(table.get(key), str):
            table[key] = table[key].split(",")
    if isinstance(table.get("class_names"), list):
        table["class_names"] = ",".join(table["class_names"])
    if "reference" in table:
        table["reference"] = Path(table["reference"])
    if (store := table.get("store", "outputs")) not in _STORES:
        raise UsageError(f"there is no --store '{excerpt(store)}'; choose outputs or scores")
    if (cut := shard_options(table)) is not None:
        table = {**{key: value for key, value in table.items() if key not in SHARD_KEYS}, "sharding": cut}
    study = table.pop("study", None)
    model, data = Path(table.pop("model")), str(table.pop("data"))
    others = {key: tuple(value) if key in _LISTS else value for key, value in table.items()}
    return Analyzed(model, data, None if study is None else Path(study), others)
