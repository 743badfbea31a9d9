"""Checks that the stored artifacts, outputs, samples and exported model of a study are unchanged."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from quantlab.errors import QuantlabError
from quantlab.formats import artifact_sha256
from quantlab.intact import intact_outputs
from quantlab.models import files_sha256
from quantlab.registries import REAL, Registries
from quantlab.samples import intact_samples
from quantlab.store import Store
from quantlab.types import FileState, KeptOutputs, OpenedModel, Study, Trial, Variant

__all__ = ["Checked", "intact_model", "intact_variant", "verify"]


@dataclass(frozen=True, slots=True)
class Checked:
    """One stored part of a study, and its state."""

    kind: str
    """`samples`, `artifact`, `outputs` or `model`."""
    name: str
    """The setting and runtime, or the part of the samples."""
    path: Path
    state: FileState
    """`no hash` for records of an older quantlab, which did not store one."""


def intact_variant(variant: Variant, registries: Registries) -> FileState:
    """Compare an artifact with the hash in its record."""
    if not variant.path.exists():
        return "missing"
    try:
        return "intact" if artifact_sha256(variant.path, registries.formats) == variant.sha256 else "damaged"
    except QuantlabError:
        return "damaged"


def intact_model(opened: OpenedModel) -> FileState:
    """Compare the model that converters start from with its stored hash."""
    if not opened.source.exists():
        return "missing"
    if not opened.sha256:
        return "no hash"
    return "intact" if files_sha256(opened.source) == opened.sha256 else "damaged"


def verify(folder: str | Path, *, registries: Registries = REAL) -> tuple[Checked, ...]:
    """Check all stored files of a study; nothing is run and nothing is changed.

    Raises:
        StudyError: If there is no study in the folder, or its record cannot be read.
    """
    store = Store(Path(folder))
    study = store.read_study()
    return tuple(_checked(store, study, registries))


def _checked(store: Store, study: Study, registries: Registries) -> Iterator[Checked]:
    yield Checked("samples", "scored", study.samples.folder, intact_samples(study.samples))
    if study.calibration is not None:
        yield Checked("samples", "calibration", study.calibration.folder, intact_samples(study.calibration))
    for record in sorted((store.root / "model").glob("*/opened.json")):
        opened = store.read(record, OpenedModel)
        if opened is None:
            yield Checked("model", record.parent.name, record, "damaged")
        else:
            yield Checked("model", opened.description.path, opened.source, intact_model(opened))
    seen: set[str] = set()
    for trial in (study.reference, *study.trials):
        if trial.variant is not None and trial.setting not in seen:
            seen.add(trial.setting)
            state = intact_variant(trial.variant, registries)
            yield Checked("artifact", trial.setting, trial.variant.path, state)
        yield from _outputs(store, trial)


def _outputs(store: Store, trial: Trial) -> Iterator[Checked]:
    if not trial.outputs:
        return
    folder = next(iter(trial.outputs.values())).parent
    kept = store.read(folder / "outputs.json", KeptOutputs)
    state: FileState = "missing" if kept is None else intact_outputs(kept)
    yield Checked("outputs", f"{trial.setting} in {trial.runtime}", folder, state)
