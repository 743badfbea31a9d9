"""Reads and keeps tensors inside a variant that another program wrote, for the samples on which layers are compared.

A dump is a `.npz` file with an array for each tensor, by its name in the artifact, and `__crc32__` as for outputs; or a
folder with the same arrays as `.npy` files. The name of a file is that of its array, percent-encoded, or stands in
`names.json`, an object from file to array, because names of tensors may be too long for a file.

A dump has a row for each layer sample, as `quantlab export inputs --layers` writes them, or for each scored sample, of
which the layer samples are taken.
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

from quantlab.errors import SamplesError, StudyError, UsageError
from quantlab.foreign import reading
from quantlab.formats import Format
from quantlab.formats.affine import decode
from quantlab.models import files_sha256
from quantlab.names import counted, listed
from quantlab.npy import mapped
from quantlab.runtimes.elsewhere import layer_tensors, write_tapped_copy
from quantlab.samples import array_of_npz, names_of_npz, packed_array
from quantlab.study.importing.arrays import Rows, rows_of_npy, rows_of_npz, write_rows
from quantlab.study.importing.contents import Dump
from quantlab.study.importing.dumps import ABOUT, about_of
from quantlab.study.importing.matching import match
from quantlab.types import ImportedLayers, Inside, SampleSet, Study, TapSpec, Variant

__all__ = ["LayerDump", "copy_sha256", "keep_layers", "layer_samples", "read_layers"]

_REMEDY = "let the program write it again"


@dataclass(frozen=True, slots=True)
class LayerDump:
    """The tensors of a program, of the layer samples in their order."""

    source: str
    tensors: Mapping[str, Rows]
    """Tensor of the artifact → (samples, …) of float32."""
    samples: SampleSet
    environment: Mapping[str, str]


def read_layers(
    path: Path, study: Study, inside: Inside, variant: Variant, format_: Format, *, trust_order: bool
) -> LayerDump:
    """Read the tensors, and check that they are of the artifact and of the samples on which layers are compared.

    Args:
        path: The file or folder.
        study: The study.
        inside: Its layer comparison.
        variant: The artifact that the program ran.
        format_: Its format.
        trust_order: Whether the user vouches for samples and order.

    Raises:
        SamplesError: If they cannot be read, are of other samples or in another order, or have other shapes.
        UsageError: If none is a tensor of the artifact, or nothing says from which samples they are.
        StudyError: If an older quantlab compared the layers of the study.
    """
    samples = layer_samples(inside)
    with reading(path, SamplesError, _REMEDY):
        arrays = _arrays_of(path)
        about = about_of(arrays.names, arrays.whole)
        specs = _specs(variant, format_, inside)
        held = {name: arrays.rows(name) for name in arrays.names if name in specs}
        if not held:
            found = listed([name for name in arrays.names if name not in ABOUT])
            raise UsageError(
                f"'{path}' has no tensor of {variant.name}, which are {listed([*specs])}, but {found or 'no arrays'}; "
                f"name the arrays after the tensors of 'quantlab export inputs --layers'"
            )
        n = _common_rows(path, held, (samples.n, study.samples.n))
        whole = n != samples.n
        described = replace(study.samples if whole else samples, sha256=study.samples.sha256)
        match(Dump({}, *about), described, variant, path, sha256=None, trust_order=trust_order)
        places = np.asarray(inside.indices)
        tensors = {
            name: _prepared(path, rows.chosen(places) if whole else rows, specs[name], name)
            for name, rows in held.items()
        }
    return LayerDump(str(path), tensors, samples, about[2])


def layer_samples(inside: Inside) -> SampleSet:
    """The samples on which the layers of a study were compared.

    Raises:
        StudyError: If an older quantlab compared them, or their files are gone.
    """
    samples = inside.layer_samples
    if samples is None or not all(samples.input_file(spec.name).is_file() for spec in samples.inputs):
        raise StudyError(
            "the study does not have the samples of its layer comparison any more; run 'quantlab analyze' again, which "
            "reuses finished work"
        )
    return samples


def keep_layers(dump: LayerDump, folder: Path) -> ImportedLayers:
    """Write the tensors into a new folder of the study."""
    folder.mkdir(parents=True)
    files = {name: folder / f"{place}.npy" for place, name in enumerate(dump.tensors)}
    for name, file in files.items():
        write_rows(file, dump.tensors[name], np.float32)
    sha256 = {name: files_sha256(file) for name, file in files.items()}
    return ImportedLayers(dump.source, files, sha256, dump.samples.sha256)


def copy_sha256(variant: Variant, format_: Format) -> str | None:
    """Hash of the copy that `quantlab export inputs --layers` writes of an artifact; None if it writes none."""
    with tempfile.TemporaryDirectory(prefix="quantlab-") as folder:
        copy = write_tapped_copy(Path(folder), variant, format_)
        return None if copy is None else files_sha256(copy.file)


@dataclass(frozen=True, slots=True)
class _Arrays:
    """The arrays of a file or a folder."""

    names: Sequence[str]
    rows: Callable[[str], Rows]
    whole: Callable[[str], npt.NDArray[Any]]


def _arrays_of(path: Path) -> _Arrays:
    if path.is_dir():
        files = _files_below(path)
        return _Arrays([*files], lambda name: rows_of_npy(files[name]), lambda name: np.array(mapped(files[name])))
    if path.suffix.lower() != ".npz" or not path.is_file():
        raise SamplesError(f"'{path}' holds no layers; give a .npz file, or a folder of .npy files")
    return _Arrays(
        names_of_npz(path, text=str(path)),
        lambda name: rows_of_npz(packed_array(path, name, text=str(path))),
        lambda name: array_of_npz(path, name, text=str(path)),
    )


def _files_below(folder: Path) -> dict[str, Path]:
    """Name → the file of each array in a folder; `names.json` says the names of files that are not named after them."""
    listing = folder / "names.json"
    names = json.loads(listing.read_text(encoding="utf-8")) if listing.is_file() else {}
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise SamplesError(f"'{listing}' is no JSON object from the name of a file to that of its tensor")
    return {names.get(file.name, unquote(file.stem)): file for file in sorted(folder.glob("*.npy"))}


def _specs(variant: Variant, format_: Format, inside: Inside) -> dict[str, TapSpec | None]:
    """Tensor of the artifact → what its format tells of it; None if only a runtime lists them."""
    if format_.taps is not None:
        return {tap.name: tap for tap in format_.taps(variant.path) if tap.reason is None}
    return dict.fromkeys(layer_tensors(inside, variant.name))


def _common_rows(path: Path, held: Mapping[str, Rows], known: tuple[int, int]) -> int:
    for name, rows in held.items():
        if not rows.shape or rows.shape[0] not in known:
            count = rows.shape[0] if rows.shape else 1
            raise SamplesError(
                f"'{path}' has {counted(count, 'row')} for the tensor '{name}', and layers are compared on "
                f"{counted(known[0], 'sample')}; give one row for each sample that 'quantlab export inputs --layers' "
                f"wrote"
            )
    counts = {rows.shape[0]: name for name, rows in held.items()}
    if len(counts) > 1:
        first, second = [*counts.items()][:2]
        raise SamplesError(
            f"'{path}' has {counted(first[0], 'row')} for the tensor '{first[1]}' and {second[0]:,} for '{second[1]}'; "
            f"give the same samples for all"
        )
    return next(iter(counts))


def _prepared(path: Path, rows: Rows, spec: TapSpec | None, name: str) -> Rows:
    """The values as float32 in the shape of the artifact's tensor."""
    if rows.dtype.kind not in "biuf":
        raise SamplesError(f"'{path}' holds {rows.dtype.name} for the tensor '{name}'; write the numbers themselves")
    codes = spec.codes if spec is not None else None
    decoded = rows.decoded(np.dtype(np.float32), lambda block: decode(block, codes))
    sizes = spec.shape[1:] if spec is not None else ()
    if not sizes or None in sizes or rows.shape[1:] == sizes:
        return decoded
    whole = tuple(int(size or 0) for size in sizes)
    if [size for size in rows.shape[1:] if size != 1] == [size for size in whole if size != 1]:
        return decoded.reshaped(whole)
    if rows.shape[1:] == (int(np.prod(whole)),):
        return decoded.reshaped(whole)
    raise SamplesError(
        f"'{path}' has the shape {rows.shape[1:]} for a sample of the tensor '{name}', and the artifact {whole}; write "
        f"tensors with channels last"
    )
