"""The errors of layers as colours of a graph: node data for Google's Model Explorer.

Node data are values by the name of a node or of a tensor that it gives (`GraphNodeData` in its `node_data_builder.py`).
Model Explorer opens the artifact itself, so the graph is that of the file that is shipped. Tried with version 0.1.34.
"""

import json
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.errors import StudyError, UsageError
from quantlab.formats import Format
from quantlab.names import counted, nearest
from quantlab.types import AGAINST_REFERENCE, PYTHON, LayerRow
from quantlab_reports.exports.contract import Asked, Export, Written
from quantlab_reports.figures import significant
from quantlab_reports.subject import Subject

__all__ = ["EXPORT", "FIGURES", "export_model_explorer"]

_WORST = "#b34700"
_NOISE = (
    {"value": 20, "bgColor": _WORST},
    {"value": 40, "bgColor": "#e69f00"},
    {"value": 60, "bgColor": "#fbe3b0"},
)
"""Noise of at least 10 %, 1 % and 0.1 % of the signal; less is not coloured. Darker is worse for every eye."""
_SIZES = ({"stop": 0, "bgColor": "#ffffff"}, {"stop": 1, "bgColor": _WORST})


@dataclass(frozen=True, slots=True)
class _Figure:
    """A figure of a tensor, and how its values become colours."""

    name: str
    of: Callable[[LayerRow], float | None]
    colours: Mapping[str, Any]
    largest_is_worst: bool
    absent: str

    def worst_last(self, rows: Sequence[LayerRow]) -> list[tuple[str, float]]:
        """Names of tensors and their values; NaN is the worst."""
        known = [(row.tensor, value) for row in rows if (value := self.of(row)) is not None]
        sign = 1 if self.largest_is_worst else -1
        return sorted(known, key=lambda one: math.inf if math.isnan(one[1]) else sign * one[1])


_UNREAD = "has no figures of tensors that match those of the model"
FIGURES: Mapping[str, _Figure] = {
    "sqnr": _Figure("SQNR dB", lambda row: row.sqnr_db, {"thresholds": _NOISE}, False, _UNREAD),
    "isolated": _Figure(
        "isolated SQNR dB",
        lambda row: row.isolated_sqnr_db,
        {"thresholds": _NOISE},
        False,
        "has no isolated errors, which only variants that quantlab converted have; use --figure sqnr",
    ),
    "max": _Figure("max abs error", lambda row: row.max_abs, {"gradient": _SIZES}, True, _UNREAD),
}
"""Name for `--figure` → figure."""


def export_model_explorer(subject: Subject, asked: Asked) -> Written:
    """Write node data for the artifact of a setting."""
    figure = _figure(asked.figure or next(iter(FIGURES)))
    setting, runtime, rows = _rows(subject, asked)
    drawn = _drawn(subject, setting)
    values = figure.worst_last(rows)
    if not values:
        raise StudyError(f"'{setting}' in {runtime} {figure.absent}")
    file = asked.out or Path("model-explorer.json")
    data = _node_data(f"{setting} in {runtime}: {figure.name}", values, figure)
    _write(file, data)
    tensors = {row.tensor for row in rows if row.tensor}
    rest = "" if len(data["results"]) == len(tensors) else "; the others have no matching tensor in the model"
    have = f"{len(data['results'])} of {counted(len(tensors), 'tensor has', 'tensors have')} a value"
    how = f"model-explorer {shlex.quote(str(drawn))} --node_data_paths {shlex.quote(str(file))}"
    return Written((str(file),), (f"Node data written to '{file}': {have}{rest}", f"To open: {how}"))


def _drawn(subject: Subject, setting: str) -> Path:
    """The file of a setting that Model Explorer opens.

    Raises:
        UsageError: If it opens none of this format, or finds no tensors in it by name.
        StudyError: If the file is gone.
    """
    formats = subject.formats
    variant = next((trial.variant for trial in subject.trials_of(setting) if trial.variant is not None), None)
    kind = None if variant is None else formats.get(variant.format)
    if variant is None or kind is None or kind.drawn is None:
        named = "what was not converted" if variant is None else f"files of {variant.format}"
        raise UsageError(
            f"Model Explorer cannot show values in {named}, which '{setting}' is; "
            f"{nearest('', _openable(subject, formats))}"
        )
    file = kind.drawn(variant.path)
    if not file.is_file():
        raise StudyError(f"'{file}', the artifact of '{setting}', is gone; run 'quantlab analyze' again")
    return file


def _openable(subject: Subject, formats: Mapping[str, Format]) -> list[str]:
    variants = [trial.variant for trial in subject.study.trials if trial.variant is not None]
    known = [variant.name for variant in variants if variant.format in formats and formats[variant.format].drawn]
    return list(dict.fromkeys(known))


def _figure(name: str) -> _Figure:
    if name not in FIGURES:
        raise UsageError(f"there is no figure '{name}' to export; {nearest(name, FIGURES)}")
    return FIGURES[name]


def _rows(subject: Subject, asked: Asked) -> tuple[str, str, list[LayerRow]]:
    """The tensors of a setting in one runtime, compared with the model: Python, or the first that was read.

    Raises:
        UsageError: If no setting is named, or there is none of this name.
        StudyError: If layers were not compared.
    """
    inside = subject.store.read_inside()
    runtimes: dict[str, dict[str, list[LayerRow]]] = {}
    for row in inside.layers:
        if row.baseline == AGAINST_REFERENCE and row.channel is None:
            runtimes.setdefault(row.setting, {}).setdefault(row.runtime, []).append(row)
    if asked.setting is None:
        raise UsageError(f"no setting is named with --setting; {nearest('', runtimes)}")
    if asked.setting not in runtimes:
        raise UsageError(f"no layers of '{asked.setting}' were compared; {nearest(asked.setting, runtimes)}")
    found = runtimes[asked.setting]
    runtime = asked.runtime or (PYTHON if PYTHON in found else next(iter(found)))
    if runtime not in found:
        raise UsageError(f"no layers of '{asked.setting}' were compared in '{runtime}'; {nearest(runtime, found)}")
    return asked.setting, runtime, found[runtime]


def _node_data(name: str, values: Sequence[tuple[str, float]], figure: _Figure) -> dict[str, Any]:
    """`GraphNodeData`, without the name of a graph: it applies to the graph that is shown.

    Tensors of one name share the worst value. A sum or mean of decibels or of largest errors means nothing, so they are
    not shown.
    """
    results = {tensor: _result(value, figure) for tensor, value in values}
    hidden = {"hideAggregatedStats": ["sum", "avg"], "hideInChildrenStatsTable": True}
    return {"name": name, "results": results, **figure.colours, **hidden}


def _is_node_data(file: Path) -> bool:
    """Whether a file holds node data, which an export may write over."""
    try:
        document = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and {"name", "results"} <= document.keys()


def _result(value: float, figure: _Figure) -> dict[str, Any]:
    """A value; JSON has no infinity, so one that is not finite is a text with a colour of its own."""
    if math.isfinite(value):
        return {"value": significant(value, 4)}
    without_error = value == math.inf and not figure.largest_is_worst
    text = "NaN" if math.isnan(value) else "∞" if value > 0 else "−∞"
    return {"value": text, "bgColor": "transparent" if without_error else _WORST}


def _write(file: Path, document: Mapping[str, Any]) -> None:
    try:
        if file.exists() and not _is_node_data(file):
            raise UsageError(f"'{file}' exists and holds no node data for Model Explorer; name another file with --out")
        file.write_text(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
    except OSError as error:
        raise UsageError(f"'{file}' cannot be written ({error.strerror}); name another file with --out") from error


EXPORT = Export(frozenset({"setting", "runtime", "figure", "out"}), judges=False, write=export_model_explorer)
