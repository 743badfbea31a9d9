"""The samples on which layers are compared: a random sample of the scored samples."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.intact import intact_files
from quantlab.models import files_sha256
from quantlab.npy import mapped
from quantlab.samples import draw, kept_places, kept_subset, labels_of
from quantlab.store import Store, key_of
from quantlab.study.context import Context
from quantlab.types import FileState, SampleSet

__all__ = ["LayerSamples", "draw_layer_samples", "intact_layer_samples"]

_STREAM = 2  # index of this random stream of the seed; scored and calibration samples use 0 and 1
_BLOCK_SAMPLES = 64


_RECORD = "samples.json"
"""A record of `LayerSampleFiles`, beside the files."""


@dataclass(frozen=True, slots=True)
class LayerSampleFiles:
    """The files of layer samples, as kept."""

    sha256: Mapping[str, str]
    """Name of a file → its SHA-256."""


@dataclass(frozen=True, slots=True)
class LayerSamples:
    """A random sample of the scored samples."""

    samples: SampleSet
    indices: npt.NDArray[Any]
    """(n,), indices among the scored samples, ascending."""


def draw_layer_samples(
    context: Context, samples: SampleSet, count: int | None, finite: npt.NDArray[np.bool_]
) -> LayerSamples:
    """Draw `count` scored samples, stratified by label; None or more than there are means all of them.

    Args:
        context: The study's.
        samples: What is scored; if few of the samples are kept, layer samples are drawn among these.
        count: How many to draw.
        finite: (n,), whether the reference is finite on a sample; layers are not compared on others.
    """
    places = kept_places(samples)
    places = places[finite[places]]
    count = len(places) if count is None else min(count, len(places))
    if count == samples.n:
        return LayerSamples(kept_subset(samples), places)
    held = labels_of(samples)
    labels = None if held is None else np.asarray(held)[places]
    indices = places[draw(count, n=len(places), labels=labels, seed=context.options.seed, stream=_STREAM)]
    left_out = {} if finite.all() else {"left out": np.flatnonzero(~finite).tolist()}
    left_out |= {} if samples.few is None else {"few": samples.few.sha256}
    key = key_of({"samples": samples.sha256, "count": count, "seed": context.options.seed, **left_out})
    folder = context.store.root / "samples" / "layers" / key
    of_classes = labels is not None and labels.ndim == 1 and labels.dtype.kind in "biu"
    kind = "stratified" if "stratified" in samples.drawn or of_classes else "random"
    drawn = f"{kind}, seed {context.options.seed}" if count < len(places) else "all on which the model is finite"
    if samples.few is not None:
        drawn += f", among {samples.few.n:,} that are kept"
    identity = f"{samples.sha256}/{key}"
    part = replace(
        samples, folder=folder, n=count, labelled=False, sha256=identity, drawn=drawn, attributes=(), few=None
    )
    state = intact_layer_samples(context.store, folder)
    if state in {"damaged", "missing"} and folder.exists():
        context.progress.warn(f"the samples in '{folder}' are damaged, so they are written again")
    if state != "intact":
        shutil.rmtree(folder, ignore_errors=True)
        _write(samples, part, indices)
        files = {path.name: files_sha256(path) for path in sorted(folder.glob("*.npy"))}
        context.store.write(folder / _RECORD, LayerSampleFiles(files))
    return LayerSamples(part, indices)


def intact_layer_samples(store: Store, folder: Path) -> FileState:
    """Compare layer samples with the hashes in their record; those of an older quantlab have none."""
    if folder.is_dir() and not (folder / _RECORD).is_file():
        return "no hash"
    kept = store.read(folder / _RECORD, LayerSampleFiles)
    if kept is None:
        return "damaged" if folder.is_dir() else "missing"
    return intact_files({name: folder / name for name in kept.sha256}, kept.sha256)


def _write(samples: SampleSet, part: SampleSet, indices: npt.NDArray[Any]) -> None:
    beside = part.folder.with_name(f"{part.folder.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    held, rows = kept_subset(samples), np.searchsorted(kept_places(samples), indices)
    for spec in samples.inputs:
        source = mapped(held.input_file(spec.name))
        target = beside / samples.input_file(spec.name).name
        with target.open("wb") as file:
            header = {"descr": source.dtype.str, "fortran_order": False, "shape": (len(indices), *source.shape[1:])}
            np.lib.format.write_array_header_1_0(file, header)  # type: ignore[no-untyped-call]  # NumPy has no type
            for start in range(0, len(rows), _BLOCK_SAMPLES):
                file.write(np.ascontiguousarray(source[rows[start : start + _BLOCK_SAMPLES]]).data)
    beside.rename(part.folder)
