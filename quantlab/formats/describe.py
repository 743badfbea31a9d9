"""Builds a `Variant` from an artifact on disk: hash, sizes, ports matched to the model, and a check of its name."""

import hashlib
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import brotli

from quantlab.errors import ArtifactError
from quantlab.formats.contract import Format, files_below
from quantlab.formats.registry import FORMATS
from quantlab.types import NARROW_DTYPES, DownloadSize, ModelDescription, Port, TensorSpec, Variant

__all__ = [
    "ArtifactFiles",
    "artifact_files",
    "artifact_sha256",
    "broken_claim",
    "describe_given",
    "describe_runnable",
    "describe_variant",
    "download_size_of",
    "files_not_served",
    "format_of",
    "note_unquantized",
]

_BLOCK_BYTES = 1 << 20
_BEST_BROTLI, _FAST_BROTLI = 11, 9
_BEST_BROTLI_BYTES = 16_000_000
"""Largest size compressed at quality 11 (0.4 MB/s); above it 9 (30 MB/s), whose result is 1 to 5 % larger."""
_GZIP_WINDOW = 31  # tells zlib to write a gzip header; without name and time it has 10 bytes


def describe_variant(name: str, format_: Format, path: Path, model: ModelDescription) -> Variant:
    """Describe an artifact of a known format.

    Args:
        name: Name of the setting, or the user's name for the variant.
        format_: Format of the artifact.
        path: The artifact: a folder (tfjs) or a file.
        model: The model whose inputs and outputs it must have.

    Raises:
        ArtifactError: If the artifact is invalid, or its inputs or outputs differ from the model's.
    """
    contents = format_.inspect(path)
    files = format_.files(path)
    return Variant(
        name=name,
        format=format_.name,
        path=path,
        sha256=_hashed(path, files).sha256,
        size_bytes=sum(file.stat().st_size for file in files),
        gzip_bytes=sum(_gzip_bytes(file) for file in files),
        inputs=_match("input", path, contents.inputs, model.inputs),
        outputs=_match("output", path, contents.outputs, model.outputs),
        weights=contents.weights,
        notes=contents.notes,
    )


def describe_runnable(name: str, format_: Format, path: Path, model: ModelDescription) -> Variant:
    """Describe an artifact as far as is needed to run it; its hash is empty, and its sizes are 0.

    Raises:
        ArtifactError: As in `describe_variant`.
    """
    contents = format_.inspect(path)
    inputs = _match("input", path, contents.inputs, model.inputs)
    outputs = _match("output", path, contents.outputs, model.outputs)
    return Variant(name, format_.name, path, "", 0, 0, inputs, outputs, contents.weights)


def note_unquantized(weights: Mapping[str, int]) -> tuple[str, ...]:
    """A note if most weights of a quantized artifact are still float32, otherwise nothing.

    >>> note_unquantized({"float32": 4000, "int8": 500, "int64": 16})
    ('1,000 of 1,500 weights stay float32',)

    Args:
        weights: Stored data type → bytes; integers that are shapes, indices or biases do not count.
    """
    kept = weights.get("float32", 0) // 4
    narrow = sum(int(weights.get(dtype, 0) / _item_bytes(dtype)) for dtype in NARROW_DTYPES)
    if kept <= narrow:
        return ()
    return (f"{kept:,} of {kept + narrow:,} weights stay float32",)


def _item_bytes(dtype: str) -> float:
    """Bytes of one value; the number in the name is its bits."""
    return int(re.sub(r"\D", "", dtype)) / 8


def describe_given(name: str, path: Path, model: ModelDescription, formats: Mapping[str, Format] = FORMATS) -> Variant:
    """Describe an artifact that the user gave, and compare its contents with the data type in its name.

    Raises:
        ArtifactError: If the file is missing or has no known format, or as in `describe_variant`.
    """
    if not path.exists():
        raise ArtifactError(f"there is no artifact at '{path}', which was given as --variant {name}={path}")
    path, format_ = _served(path, formats)
    if format_ is None:
        *looks, last = [known.looks for known in formats.values()]
        raise ArtifactError(f"'{path}' has no format that --variant accepts; give {', '.join(looks)} or {last}")
    variant = describe_variant(name, format_, path.absolute(), model)
    claim = broken_claim([name, path.name], variant.weights, (*variant.inputs, *variant.outputs))
    return replace(variant, given=True, notes=(*variant.notes, *([claim] if claim else [])))


def format_of(path: Path, formats: Mapping[str, Format] = FORMATS) -> Format | None:
    """The format of an artifact that the user gave, told by its names and first bytes; None if it is unknown."""
    return _served(path, formats)[1] if path.exists() else None


def artifact_sha256(path: Path, formats: Mapping[str, Format] = FORMATS) -> str:
    """Hash that identifies an artifact: all files of a folder with their relative names, or one file.

    Raises:
        ArtifactError: If the path does not exist.
    """
    return artifact_files(path, formats).sha256


@dataclass(frozen=True, slots=True)
class ArtifactFiles:
    """The hash of an artifact, and that of each of its files, from one reading of their bytes."""

    sha256: str
    """As `artifact_sha256`."""
    files: Mapping[str, str]
    """Name of each file, relative to the artifact's folder with `/`, or of the only file → SHA-256 of its bytes."""


def artifact_files(path: Path, formats: Mapping[str, Format] = FORMATS) -> ArtifactFiles:
    """Hash an artifact and each of its files.

    Raises:
        ArtifactError: If the path does not exist.
    """
    path, format_ = _served(path, formats)
    if not path.exists():
        raise ArtifactError(f"there is no artifact at '{path}'; give the file or folder that you want to ship")
    return _hashed(path, format_.files(path) if format_ else files_below(path))


def files_not_served(path: Path, formats: Mapping[str, Format] = FORMATS) -> tuple[str, ...]:
    """Return the names of the files in a folder that are no part of the artifact in it, also of hidden ones, sorted.

    There are none where a file is given. In a folder of an unknown format, each file is part of the artifact.

    Raises:
        ArtifactError: If the artifact is invalid.
    """
    artifact, format_ = _served(path, formats)
    if not path.is_dir():
        return ()
    served = {os.path.relpath(file, path) for file in (format_.files(artifact) if format_ else files_below(path))}
    return tuple(sorted(Path(name).as_posix() for name in _listing(path) if name not in served))


def _listing(folder: Path) -> Iterator[str]:
    """Names of all that is below a folder and is no folder, as a web server finds it: linked folders are followed."""
    seen = set[str]()
    for root, folders, names in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(root))
        folders[:] = [name for name in folders if os.path.realpath(Path(root) / name) not in seen]
        yield from (os.path.relpath(Path(root) / name, folder) for name in names)


def _served(path: Path, formats: Mapping[str, Format]) -> tuple[Path, Format | None]:
    """The artifact at the user's path, which may be an output folder of `quantlab convert`, and its format if known."""
    for format_ in formats.values():
        served = format_.served(path)
        if format_.recognizes(served):
            return served, format_
    return path, next((format_ for format_ in formats.values() if format_.recognizes(path)), None)


def _hashed(path: Path, files: Sequence[Path]) -> ArtifactFiles:
    whole, of_files = hashlib.sha256(), dict[str, str]()
    for file in files:
        name = file.relative_to(path if path.is_dir() else path.parent).as_posix()
        identity = "" if file == path else name  # a file that is renamed stays the same artifact
        whole.update(f"{identity}\0{file.stat().st_size}\0".encode())
        own = hashlib.sha256()
        for block in _blocks(file):
            whole.update(block)
            own.update(block)
        of_files[name] = own.hexdigest()
    return ArtifactFiles(whole.hexdigest(), of_files)


def _gzip_bytes(file: Path) -> int:
    compressor = zlib.compressobj(level=9, wbits=_GZIP_WINDOW)
    size = sum(len(compressor.compress(block)) for block in _blocks(file))
    return size + len(compressor.flush())


def _blocks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            yield block


def download_size_of(variant: Variant, format_: Format) -> DownloadSize:
    """Compute the brotli size (30 seconds for 16 MB) and the minimum runtime; other threads can run meanwhile.

    Raises:
        ArtifactError: If the artifact is invalid.
    """
    quality = _BEST_BROTLI if variant.size_bytes <= _BEST_BROTLI_BYTES else _FAST_BROTLI
    return DownloadSize(
        brotli_bytes=sum(_brotli_bytes(file, quality) for file in format_.files(variant.path)),
        minimum_runtime=format_.minimum_runtime(variant.path),
    )


def _brotli_bytes(file: Path, quality: int) -> int:
    compressor = brotli.Compressor(quality=quality)
    size = sum(len(compressor.process(block)) for block in _blocks(file))
    return size + len(compressor.finish())


def _match(what: str, path: Path, ports: Sequence[Port], specs: Sequence[TensorSpec]) -> tuple[Port, ...]:
    """Assign ports to the model's names: by name if all names match, else in the order of the sorted names.

    In this order TensorFlow numbers the results of a signature, and some converters keep only these numbers.
    """
    by_name = {port.name: port for port in ports}
    if all(spec.name in by_name for spec in specs):
        matched = [by_name[spec.name] for spec in specs]
    elif len(ports) == len(specs):
        order = {name: place for place, name in enumerate(sorted(spec.name for spec in specs))}
        in_place = sorted(ports, key=lambda port: port.position)
        numbers = [_result_number(port.tensor) for port in ports]
        if sorted(number for number in numbers if number is not None) == list(range(len(ports))):
            in_place = [ports[numbers.index(place)] for place in range(len(ports))]
        matched = [replace(in_place[order[spec.name]], name=spec.name) for spec in specs]
    elif what == "input" and ports and all(port.name in {spec.name for spec in specs} for port in ports):
        return tuple(ports)  # freezing the graph removed an input that no output depends on
    else:
        raise ArtifactError(
            f"'{path}' has the {what}s {_listed(ports)}, but the model has {_listed(specs)}; "
            f"give an artifact that was made from this model"
        )
    for port, spec in zip(matched, specs, strict=True):
        _check_shape(what, path, port, spec)
    return tuple(matched)


_RESULT = re.compile(r"(?:Identity|StatefulPartitionedCall|PartitionedCall)(?:_(\d+))?(?::(\d+))?")


def _result_number(tensor: str) -> int | None:
    """The number that TensorFlow gave to a result of a signature, as far as a tensor's name tells it.

    >>> [_result_number(name) for name in ("Identity", "Identity_2:0", "StatefulPartitionedCall:1", "scores")]
    [0, 2, 1, None]
    """
    match = _RESULT.fullmatch(tensor)
    if match is None:
        return None
    number, output = (int(part or 0) for part in match.groups())
    return number or output


def _listed(named: Sequence[Port] | Sequence[TensorSpec]) -> str:
    return ", ".join(f"'{tensor.name}' {tensor.shape}" for tensor in named)


def _check_shape(what: str, path: Path, port: Port, spec: TensorSpec) -> None:
    """Compare the known sizes after the batch; converters may drop sizes or the whole shape, but keep the rank."""
    if not port.shape or not spec.shape:
        return
    pairs = zip(port.shape[1:], spec.shape[1:], strict=False)
    if len(port.shape) != len(spec.shape) or any(None not in pair and pair[0] != pair[1] for pair in pairs):
        raise ArtifactError(
            f"the {what} '{spec.name}' of '{path}' has the shape {port.shape}, but the model's has {spec.shape}; "
            f"give an artifact that was made from this model"
        )


_CLAIMS: Mapping[str, str] = {
    "float32": r"float_?32|fp_?32|(?<![a-z])f32|(?<![a-z])float(?![_a-z]*\d)",
    "float16": r"float_?16|fp_?16|(?<![a-z])f16",
    "int8": r"(?<!u)int_?8|(?<![a-z])quant",
    "uint8": r"uint_?8",
    "uint16": r"uint_?16",
}
_SUBSTANTIAL = 0.05  # share of the weights' bytes; biases and norms may keep another data type


def broken_claim(names: Sequence[str], weights: Mapping[str, int], ports: Sequence[Port]) -> str | None:
    """A remark if a name mentions one data type and the weights have another, else None.

    A name may mean the inputs and outputs: TensorFlow 2 stores weights in int8 also where these are uint8.

    Args:
        names: Of the variant and of its file.
        weights: Stored data type → bytes, as in `Contents.weights`.
        ports: Inputs and outputs.
    """
    values = {dtype: size for dtype, size in weights.items() if dtype not in {"int32", "int64", "bool", "string"}}
    ends = {port.dtype for port in ports if port.codes is not None}
    total = sum(values.values())
    held = [dtype for dtype, size in sorted(values.items(), key=lambda item: -item[1]) if size >= _SUBSTANTIAL * total]
    for name in names:
        claimed = next((dtype for dtype, pattern in _CLAIMS.items() if re.search(pattern, name.lower())), None)
        if claimed is None or not held or (claimed in ends and "int8" in held):
            continue
        other = [dtype for dtype in held if dtype != claimed]
        if (claimed == "float32" and other) or claimed not in held:
            return f"named {claimed}, holds {' and '.join(other)} weights"
    return None
