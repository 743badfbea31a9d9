"""Studies with outputs written by hand, so that their verdicts are known."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from study_fixtures import a_failure, a_study, a_trial, a_variant

from quantlab.models import files_sha256
from quantlab.samples import labels_sha256
from quantlab.store import Store
from quantlab.types import KeptOutputs, Study, TensorSpec, Timing, Trial

__all__ = ["answers", "flipped", "record_outputs", "write_study"]

CLASSES = 10


def answers(labels: npt.NDArray[Any], wrong: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[np.float32]:
    """(n, 10) probabilities that name the label, or the class after it where it is to be wrong."""
    named = np.where(False if wrong is None else wrong, (labels + 1) % CLASSES, labels)
    outputs = np.full((len(labels), CLASSES), 0.01, np.float32)
    outputs[np.arange(len(labels)), named] = 0.91
    return outputs


def flipped(n: int, places: Any) -> npt.NDArray[np.bool_]:
    """(n,), true at some places."""
    chosen = np.zeros(n, bool)
    chosen[places] = True
    return chosen


def write_study(
    folder: Path,
    labels: npt.NDArray[Any] | None,
    reference: npt.NDArray[Any],
    candidates: Mapping[tuple[str, str], npt.NDArray[Any] | str],
    **changed: Any,
) -> Study:
    """A study on disk; a candidate is (setting, runtime) and its outputs, or why it failed.

    The sizes of the settings follow their order, the first the smallest, and each has an artifact of its own.
    """
    study = a_study(folder)
    names = list(dict.fromkeys(setting for setting, _ in candidates))
    trials = [
        _trial(folder, setting, runtime, outputs, 10_000 * (1 + names.index(setting)))
        for (setting, runtime), outputs in candidates.items()
    ]
    samples = replace(
        study.samples, folder=folder / "samples", n=len(reference), labelled=labels is not None, sha256="5" * 64
    )
    samples.folder.mkdir(parents=True)
    if labels is not None:
        np.save(samples.labels_file, labels)
        samples = replace(samples, labels_sha256=labels_sha256(labels))
    written = replace(
        study,
        samples=samples,
        model=replace(study.model, outputs=(TensorSpec("output_0", (None, *reference.shape[1:]), "float32"),)),
        reference=replace(study.reference, outputs={"output_0": _kept(folder, "reference", "python", reference)}),
        trials=tuple(trials),
        **changed,
    )
    Store(folder).write_study(written)
    return written


def _trial(folder: Path, setting: str, runtime: str, outputs: npt.NDArray[Any] | str, size_bytes: int) -> Trial:
    variant = a_variant(folder, setting, size_bytes=size_bytes, gzip_bytes=size_bytes, sha256=setting.encode().hex())
    if isinstance(outputs, str):
        return a_failure(folder, outputs, setting=setting, runtime=runtime, variant=variant)
    kept = _kept(folder, setting, runtime, outputs)
    return a_trial(folder, setting, runtime, variant=variant, outputs={"output_0": kept})


def _kept(folder: Path, setting: str, runtime: str, outputs: npt.NDArray[Any]) -> Path:
    path = folder / "outputs" / setting / runtime / "key" / "output_0.npy"
    path.parent.mkdir(parents=True)
    np.save(path, outputs)
    record_outputs(folder, path, runtime)
    return path


def record_outputs(folder: Path, path: Path, runtime: str = "python", name: str = "output_0") -> None:
    """Write the record beside outputs, as whatever they are now; the other outputs of the record stay."""
    store, record = Store(folder), path.parent / "outputs.json"
    known = store.read(record, KeptOutputs)
    files = {**(known.files if known else {}), name: path}
    sha256 = {**(known.sha256 if known else {}), name: files_sha256(path)}
    store.write(record, KeptOutputs(files, runtime, {}, Timing(1, 0.1), sha256))
