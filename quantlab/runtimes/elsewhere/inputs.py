"""The samples of a study as raw tensors, with programs that run a model on them and write what `quantlab import` reads.

The folder holds `inputs.json`, a `.bin` file for each input with the little-endian values of all samples in a row, the
user's own files where samples are files, and the dumpers. `inputs.json` has the keys `format`, `samples_sha256`, `n`,
`setting`, `batch_size`, `inputs` and `outputs` (names in the model and in the artifact, positions, data types, shapes
of one sample), and `samples`: the position of each in the user's data, its file, and its CRC-32.

`inputs.txt` has what a dumper needs of it, for languages without a reader of JSON: fields between tabs, names
percent-encoded, sizes between commas, -1 where a size is not known.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import numpy as np

from quantlab.npy import mapped
from quantlab.samples import as_fed, checksums, files_of, indices_of
from quantlab.types import Port, SampleSet, Study, TensorSpec, Variant

__all__ = ["DUMPERS", "FORMAT", "write_inputs"]

FORMAT = "quantlab inputs 1"
"""The key `format` of `inputs.json`; dumpers refuse another one."""

DUMPERS = Path(__file__).parent / "dumpers"
"""Folder of the programs."""
_ROWS = 64
"""Samples that are written at once."""


def write_inputs(folder: Path, study: Study, variant: Variant | None) -> str | None:
    """Write everything, the manifest last; return what is to be said about the user's own files.

    Args:
        folder: An empty folder.
        study: The study whose scored samples are written.
        variant: The artifact that takes them; None for the model itself.

    Raises:
        OSError: If a file cannot be written.
    """
    samples = study.samples
    ports = {port.name: port for port in variant.inputs} if variant else {}
    inputs = [
        _write_input(folder, samples, spec, place, ports.get(spec.name)) for place, spec in enumerate(samples.inputs)
    ]
    names, note = _copy_files(folder, samples)
    for dumper in sorted(DUMPERS.iterdir()):
        if dumper.is_file():
            shutil.copyfile(dumper, folder / dumper.name)
    document = {
        "format": FORMAT,
        "samples_sha256": samples.sha256,
        "n": samples.n,
        "setting": variant.name if variant else None,
        "batch_size": study.batch_size,
        "inputs": inputs,
        "outputs": [*_outputs(study, variant)],
        "samples": _samples(samples, names, checksums(samples, ports).tolist()),
    }
    (folder / "inputs.txt").write_bytes(_plain(document).encode("ascii"))
    (folder / "inputs.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return note


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


def _outputs(study: Study, variant: Variant | None) -> Iterator[dict[str, Any]]:
    ports = {port.name: port for port in variant.outputs} if variant else {}
    for place, spec in enumerate(study.model.outputs):
        port = ports.get(spec.name)
        file = study.reference.outputs.get(spec.name)
        shape = list(mapped(file).shape[1:] if file is not None else spec.shape[1:])
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
    names, source = files_of(samples), Path(samples.source)
    missing = 0
    for name in names:
        inside = not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts
        if not (inside and (source / name).is_file()):
            missing += 1
            continue
        target = folder / "files" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target)
    if missing:
        return names, f"{missing:,} of {len(names):,} files of '{source}' are not there any more, and not copied"
    return names, f"the files themselves are in '{folder / 'files'}'"
