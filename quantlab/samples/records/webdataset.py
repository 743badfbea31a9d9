"""WebDataset: tar files in which consecutive files with one name and several suffixes are a sample.

Source: https://github.com/webdataset/webdataset, "The WebDataset Format".
"""

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from quantlab.samples.records.contract import Record, RecordFormat, refuse_large

__all__ = ["WEBDATASET"]

_BLOCK = 512
_NO_SUFFIXES = "has no suffix, by which a WebDataset tells the parts of a sample"


def _scan(stream: BinaryIO, names: Sequence[str]) -> Iterator[tuple[int, Record]]:
    return _samples(stream, 0, names)


def _pick(stream: BinaryIO, places: Sequence[int], names: Sequence[str]) -> Iterator[Record]:
    for place in places:
        yield next(_samples(stream, place, names))[1]


def _samples(stream: BinaryIO, place: int, names: Sequence[str]) -> Iterator[tuple[int, Record]]:
    """The place and the parts of each sample, from the place of one on; without names, with all parts."""
    stream.seek(place)
    key, begins, parts = None, place, dict[str, Any]()
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for member in archive:
            archive.members.clear()  # type: ignore[attr-defined]  # else it remembers each file that it has seen
            if not member.isfile():
                continue
            own, suffix = _split(member.name)
            if own != key:
                if parts:
                    yield begins, parts
                key, begins, parts = own, member.offset, {}
            if suffix in parts:
                raise ValueError(f"the sample '{own}' has two files '.{suffix}'")
            parts[suffix] = _read(archive, member, suffix) if _wanted(suffix, names) else None
        stream.seek(archive.offset)
        _refuse_truncated(stream)
    if parts:
        yield begins, parts


def _split(name: str) -> tuple[str, str]:
    """The key of the sample, and the part: the suffix from the first dot of the file's name on."""
    folder, slash, file = name.rpartition("/")
    stem, dot, suffix = file.partition(".")
    if not (dot and stem and suffix):
        raise ValueError(f"the file '{name}' {_NO_SUFFIXES}")
    return f"{folder}{slash}{stem}", suffix.lower()


def _wanted(suffix: str, names: Sequence[str]) -> bool:
    return not names or any(name == suffix or name.startswith(f"{suffix}.") for name in names)


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo, suffix: str) -> Any:
    refuse_large(member.size, f"the file '{member.name}'")
    opened = archive.extractfile(member)
    content = b"" if opened is None else opened.read()
    if len(content) != member.size:
        raise ValueError(f"it ends within the file '{member.name}'")
    decode = _DECODERS.get(suffix.rpartition(".")[2])
    if decode is None:
        return content
    try:
        return decode(content)
    except ValueError as error:
        raise ValueError(f"the file '{member.name}' cannot be read: {error}") from error


def _number(content: bytes) -> int | float:
    text = content.decode().strip()
    try:
        return int(text)
    except ValueError:
        return float(text)


def _class(content: bytes) -> int | str:
    text = content.decode().strip()
    return int(text) if text.lstrip("-").isdecimal() else text


def _array(content: bytes) -> Any:
    return np.load(io.BytesIO(content), allow_pickle=False)


def _json(content: bytes) -> Any:
    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no number of JSON")

    return json.loads(content, parse_constant=refuse)


_DECODERS: Mapping[str, Callable[[bytes], Any]] = {
    "cls": _class,
    "index": _number,
    "txt": lambda content: content.decode(),
    "text": lambda content: content.decode(),
    "json": _json,
    "npy": _array,
}
"""Last suffix of a part → its value; other parts are bytes. Pickles and archives are never opened."""


def _refuse_truncated(stream: BinaryIO) -> None:
    """Refuse an archive without its end, a block of zeros: `tarfile` takes a damaged header for the end, too."""
    end = stream.read(_BLOCK)
    if end != bytes(_BLOCK):
        raise ValueError("it ends without the empty block that ends an archive" if not end else "a header is damaged")


WEBDATASET = RecordFormat(
    name="webdataset",
    kind="a WebDataset",
    suffixes=(".tar",),
    scan=_scan,
    pick=_pick,
    remedy="it is truncated or no WebDataset: write it again, the files of a sample side by side",
    label_names=("cls",),
)
