"""Checks that all stored files of a study are as they were written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantlab.gate import kept_state
from quantlab.intact import intact_files, intact_outputs
from quantlab.registries import REAL, Registries
from quantlab.samples import intact_attributes, intact_groups, intact_origins, intact_samples
from quantlab.store import Store
from quantlab.study.importing.rows import IMPORTS, read_imports
from quantlab.study.inside.samples import intact_layer_samples
from quantlab.study.integrity import intact_model, intact_variant
from quantlab.study.non_finite import NON_FINITE, KnownCause, SearchedCalibration, SpoiledRows
from quantlab.study.reference import Probe, possible_probe
from quantlab.study.sensitivity_results import PartResult
from quantlab.study.shards import JOINED
from quantlab.study.tuning.acceptance import Measured
from quantlab.study.tuning.activations import SumsFile
from quantlab.types import (
    Cost,
    Costs,
    DownloadSize,
    Duplicates,
    FileState,
    ImportedLayers,
    Imports,
    Inside,
    JoinedShards,
    KeptOutputs,
    OpenedModel,
    OutputComparison,
    SampleSet,
    Shards,
    Study,
    Trial,
    TrialLayers,
    Tuning,
    Variant,
)

__all__ = ["Checked", "verify"]


@dataclass(frozen=True, slots=True)
class Checked:
    """One stored part of a study, and its state."""

    kind: str
    """`samples`, `artifact`, `outputs`, `model` or `record`."""
    name: str
    """The setting and runtime, the part of the samples, or the path of a record below the study."""
    path: Path
    state: FileState
    """`no hash` for records of an older quantlab, which did not store one."""


_RECORDS: Mapping[str, tuple[type[Any], ...]] = {
    "study.json": (Study,),
    "output_figures.json": (OutputComparison,),
    "costs.json": (Costs,),
    "shards.json": (Shards,),
    f"outputs/*/*/*/{JOINED}": (JoinedShards,),
    "inside.json": (Inside,),
    "costs/*/*/*.json": (Cost,),
    "inside/*/*/*.json": (TrialLayers,),
    "transfer/*.json": (DownloadSize,),
    "sensitivity/*/*/*.json": (PartResult,),
    IMPORTS: (Imports,),
    "tune.json": (Tuning,),
    "tune/*/*/*.json": (Measured, SumsFile),
    f"model/*/{NON_FINITE}": (KnownCause, SearchedCalibration, SpoiledRows),
}
"""Pattern of files → the kinds of record that they may hold."""

_WORST_LAST: tuple[FileState, ...] = ("intact", "no hash", "missing", "damaged")


def verify(folder: str | Path, *, registries: Registries = REAL) -> tuple[Checked, ...]:
    """Check all stored files of a study; nothing is run and nothing is changed.

    Files that this study no longer uses, of other versions or other samples, are checked as well, and logs are not.

    Raises:
        StudyError: If there is no study in the folder, or its record cannot be read.
    """
    store = Store(Path(folder))
    study = store.read_study()
    return tuple(_checked(store, study, registries))


def _checked(store: Store, study: Study, registries: Registries) -> Iterator[Checked]:
    yield from _samples(store, study)
    yield from _models(store, study, registries)
    for row in read_imports(store).rows:
        if row.layers is not None:
            state = intact_files(row.layers.files, row.layers.sha256)
            yield Checked("outputs", f"layers of {row.setting} in {row.runtime}", _folder_of(row.layers), state)
    rows = (study.reference, *([study.fed_reference] if study.fed_reference else []), *study.trials)
    yield from _artifacts(store, rows, registries)
    yield from _outputs(store, rows, scores_only=study.store == "scores")
    for pattern, kinds in _RECORDS.items():
        for record in sorted(store.root.glob(pattern)):
            states = {store.state(record, kind) for kind in kinds}
            yield _record(store, record, min(states, key=_WORST_LAST.index))
    if store.looks_file.exists():
        yield _record(store, store.looks_file, store.looks_state())


def _folder_of(layers: ImportedLayers) -> Path:
    return next(iter(layers.files.values())).parent


def _worst(*states: FileState) -> FileState:
    return max(states, key=_WORST_LAST.index)


def _record(store: Store, path: Path, state: FileState) -> Checked:
    return Checked("record", path.relative_to(store.root).as_posix(), path, state)


def _samples(store: Store, study: Study) -> Iterator[Checked]:
    yield Checked("samples", "scored", study.samples.folder, _set(study.samples))
    if study.declared is not None:
        yield Checked("samples", "of the declared preprocessing", study.declared.folder, _set(study.declared))
    if study.calibration is not None:
        yield Checked("samples", "calibration", study.calibration.folder, _set(study.calibration))
    if study.search is not None:
        yield Checked("samples", "of the search", study.search.folder, _set(study.search))
    if (record := store.root / "duplicates.json").is_file():
        yield _record(store, record, store.state(record, Duplicates))
    for folder in sorted((store.root / "samples" / "layers").glob("*/")):
        if not folder.name.endswith(".partial"):  # of a study that was killed
            yield Checked("samples", "of the layer comparison", folder, intact_layer_samples(store, folder))


def _set(samples: SampleSet) -> FileState:
    """The worst of the samples, their slices, groups and origins; in an older record, the latter have no hash."""
    state = _worst(_worst(intact_samples(samples), intact_attributes(samples)), intact_groups(samples))
    origins = intact_origins(samples)
    return state if origins == "no hash" else _worst(state, origins)


def _models(store: Store, study: Study, registries: Registries) -> Iterator[Checked]:
    marker = store.root / "model" / "sha256"
    yield _record(store, marker, _marker(marker, study.model.sha256))
    for record in sorted((store.root / "model").glob("*/opened.json")):
        opened = store.read(record, OpenedModel)
        if opened is None:
            yield Checked("model", record.parent.name, record, "damaged")
        else:
            yield Checked("model", opened.description.path, opened.source, intact_model(opened, registries))
    for record in sorted((store.root / "model").glob("*/probe.json")):
        probe, state = store.read(record, Probe), store.state(record, Probe)
        possible = probe is not None and possible_probe(probe, study.model)
        yield _record(store, record, state if possible else "damaged")


def _marker(file: Path, sha256: str) -> FileState:
    try:
        return "intact" if file.read_bytes().strip() == sha256.encode() else "damaged"
    except FileNotFoundError:
        return "missing"


def _artifacts(store: Store, rows: tuple[Trial, ...], registries: Registries) -> Iterator[Checked]:
    """Every converted artifact in the folder, and those of rows that are elsewhere."""
    seen: set[Path] = set()
    for record in sorted((store.root / "variants").glob("*/*/variant.json")):
        setting, kept = record.parent.parent.name, store.read(record, Variant)
        own = kept is not None and kept.name == setting and kept.path.is_relative_to(record.parent.absolute())
        if kept is None or not own:
            yield Checked("artifact", setting, record, "damaged")
            continue
        seen.add(kept.path)
        yield Checked("artifact", setting, kept.path, intact_variant(kept, registries))
    for trial in rows:
        if trial.variant is not None and trial.variant.path not in seen:
            seen.add(trial.variant.path)
            yield Checked("artifact", trial.setting, trial.variant.path, intact_variant(trial.variant, registries))


def _outputs(store: Store, rows: tuple[Trial, ...], *, scores_only: bool) -> Iterator[Checked]:
    """All outputs in the folder, and those of rows that are not there."""
    stored = {record.parent.absolute() for record in (store.root / "outputs").glob("*/*/*/outputs.json")}
    named = {next(iter(trial.outputs.values())).parent.absolute() for trial in rows if trial.outputs}
    for folder in sorted(stored | named):
        setting, runtime = folder.parts[-3:-1]
        # An earlier analysis may have kept the scores only of rows that this study does not have.
        suffices = scores_only or folder not in named
        yield Checked("outputs", f"{setting} in {runtime}", folder, _outputs_state(store, folder, suffices))


def _outputs_state(store: Store, folder: Path, scores_suffice: bool) -> FileState:
    """The state of the outputs in a folder, or of the scores that are kept instead, if these suffice.

    Those of another run, copied there, count as damaged.
    """
    record = folder / "outputs.json"
    kept = store.read(record, KeptOutputs)
    if kept is None:
        return "damaged" if record.is_file() else "missing"
    if any(path.parent != folder for path in kept.files.values()):
        return "damaged"
    scores, outputs = kept_state(folder), intact_outputs(kept)
    if scores == "missing":
        return outputs
    return scores if outputs == "missing" and scores_suffice else _worst(scores, outputs)
