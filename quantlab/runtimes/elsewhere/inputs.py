"""The samples of a study as raw tensors, with programs that run a model on them and write what `quantlab import` reads.

The folder holds `inputs.json`, a `.bin` file for each input with the little-endian values of all samples in a row, the
user's own files where samples are files, and the dumpers. `inputs.json` has the keys `format`, `samples_sha256`, `n`,
`setting`, `batch_size`, `inputs` and `outputs` (names in the model and in the artifact, positions, data types, shapes
of one sample), and `samples`: the position of each in the user's data, its file, and its CRC-32.

`inputs.txt` has what a dumper needs of it, for languages without a reader of JSON: fields between tabs, names
percent-encoded, sizes between commas, -1 where a size is not known.

The samples on which layers are compared are such a folder, too: `layers` is true, and the outputs are tensors inside
the artifact, which `layers.tflite` or `layers.onnx` in the folder returns.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from quantlab.formats import Format
from quantlab.npy import mapped
from quantlab.runtimes.elsewhere.layers import layer_outputs, layer_tensors, write_tapped_copy
from quantlab.samples import as_fed, checksums, files_of, indices_of, present_file
from quantlab.types import Inside, Port, SampleSet, Study, TensorSpec, Variant

__all__ = ["DUMPERS", "FORMAT", "write_inputs", "write_layer_inputs"]

FORMAT = "quantlab inputs 1"
"""The key `format` of `inputs.json`; dumpers refuse another one."""

DUMPERS = Path(__file__).parent / "dumpers"
"""Folder of the programs."""
_ROWS = 64
"""Samples that are written at once."""


def write_inputs(
    folder: Path, study: Study, variant: Variant | None, shapes: Mapping[str, Sequence[int]]
) -> str | None:
    """Write everything, the manifest last; return what is to be said about the user's own files.

    Args:
        folder: An empty folder.
        study: The study whose scored samples are written.
        variant: The artifact that takes them; None for the model itself.
        shapes: Output → its shape as it was measured, samples first; without it, the shape that the model declares.

    Raises:
        OSError: If a file cannot be written.
    """
    samples = study.samples
    ports = {port.name: port for port in variant.inputs} if variant else {}
    inputs = [
        _write_input(folder, samples, spec, place, ports.get(spec.name)) for place, spec in enumerate(samples.inputs)
    ]
    names, note = _copy_files(folder, samples)
    _copy_dumpers(folder)
    document = {
        "format": FORMAT,
        "samples_sha256": samples.sha256,
        "n": samples.n,
        "setting": variant.name if variant else None,
        "batch_size": study.batch_size,
        "inputs": inputs,
        "outputs": [*_outputs(study, variant, shapes)],
        "samples": _samples(samples, names, checksums(samples, ports).tolist()),
    }
    _write_manifest(folder, document)
    return note


def write_layer_inputs(folder: Path, study: Study, variant: Variant, inside: Inside, format_: Format) -> Path | None:
    """Write the samples on which layers are compared, whose outputs are the tensors of a variant.

    Args:
        folder: An empty folder.
        study: The study.
        variant: The artifact whose tensors are to be read.
        inside: The layer comparison of the study, with its samples.
        format_: The format of the artifact.

    Returns:
        The copy of the artifact that gives the tensors; None if runtimes read them from the artifact itself.

    Raises:
        OSError: If a file cannot be written.
        ValueError: If the comparison does not have its samples.
    """
    samples = inside.layer_samples
    if samples is None:
        raise ValueError("a comparison of an older quantlab does not have its samples")
    ports = {port.name: port for port in variant.inputs}
    inputs = [_write_input(folder, samples, spec, i, ports.get(spec.name)) for i, spec in enumerate(samples.inputs)]
    tensors = layer_tensors(inside, variant.name)
    copy = write_tapped_copy(folder, variant, format_)
    _copy_dumpers(folder)
    indices = indices_of(study.samples)[np.asarray(inside.indices, np.int64)].tolist()
    sums = checksums(samples, ports).tolist()
    document = {
        "format": FORMAT,
        "samples_sha256": study.samples.sha256,
        "n": samples.n,
        "setting": variant.name,
        "batch_size": study.batch_size,
        "layers": True,
        "inputs": inputs,
        "outputs": layer_outputs(variant, format_, tensors, copy),
        "samples": [{"index": index, "crc32": value} for index, value in zip(indices, sums, strict=True)],
    }
    _write_manifest(folder, document)
    return None if copy is None else copy.file


def _copy_dumpers(folder: Path) -> None:
    for dumper in sorted(DUMPERS.iterdir()):
        if dumper.is_file():
            shutil.copyfile(dumper, folder / dumper.name)


def _write_manifest(folder: Path, document: Mapping[str, Any]) -> None:
    (folder / "inputs.txt").write_bytes(_plain(document).encode("ascii"))
    (folder / "inputs.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _plain(document: Mapping[str, Any]) -> str:
    """The text of `inputs.txt`."""
    lines = [(document["format"],), ("samples", document["samples_sha256"]), ("n", str(document["n"]))]
    lines += [("input", *_plain_port(one), one["file"], str(one["sample_bytes"])) for one in document["inputs"]]
    lines += [("output", *_plain_port(one)) for one in document["outputs"]]
    return "".join("\t".join(line) + "\n" for line in lines)


def _plain_port(port: Mapping[str, Any]) -> tuple[str, ...]:
    shape = ",".join(str(-1 if size is None else size) for size in port["shape"])
    return quote(port["name"], safe=""), quote(port["tensor"], safe=""), str(port["position"]), port["dtype"], shape


def _write_input(folder: Path, samples: SampleSet, spec: TensorSpec, place: int, port: Port | None) -> dict[str, Any]:
    values = mapped(samples.input_file(spec.name))
    file = f"input-{place}.bin"
    fed = as_fed(np.asarray(values[:0]), port)
    with (folder / file).open("wb") as written:
        for start in range(0, samples.n, _ROWS):
            block = np.ascontiguousarray(as_fed(np.asarray(values[start : start + _ROWS]), port))
            written.write(block.data if block.size else b"")
    return {
        **_named(spec.name, place, port),
        "dtype": fed.dtype.name,
        "shape": list(values.shape[1:]),
        "file": file,
        "sample_bytes": fed.dtype.itemsize * int(np.prod(values.shape[1:], dtype=np.int64)),
    }


def _named(name: str, place: int, port: Port | None) -> dict[str, Any]:
    """Names in the model and in the artifact, and the position there."""
    return {"name": name, "tensor": port.tensor if port else name, "position": port.position if port else place}


def _outputs(study: Study, variant: Variant | None, shapes: Mapping[str, Sequence[int]]) -> Iterator[dict[str, Any]]:
    ports = {port.name: port for port in variant.outputs} if variant else {}
    for place, spec in enumerate(study.model.outputs):
        port = ports.get(spec.name)
        shape = list(shapes.get(spec.name, spec.shape)[1:])
        yield {**_named(spec.name, place, port), "dtype": port.dtype if port else spec.dtype, "shape": shape}


def _samples(samples: SampleSet, names: Sequence[str] | None, sums: Sequence[int]) -> list[Mapping[str, Any]]:
    indices = indices_of(samples).tolist()
    files: Sequence[str | None] = names or [None] * samples.n
    return [
        {"index": index, "crc32": value, **({"file": file} if file is not None else {})}
        for index, value, file in zip(indices, sums, files, strict=True)
    ]


def _copy_files(folder: Path, samples: SampleSet) -> tuple[Sequence[str] | None, str | None]:
    """Copy the user's own files, where samples are files that are still there; return their names and a note."""
    if not (samples.folder / "files.json").is_file():
        return None, None
    names = files_of(samples)
    missing = 0
    for name in names:
        source = present_file(samples, name)
        if source is None:
            missing += 1
            continue
        target = folder / "files" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    if missing:
        return (
            names,
            f"{missing:,} of {len(names):,} files of '{samples.source}' are not there any more, and not copied",
        )
    return names, "the files themselves are in its folder 'files'"
