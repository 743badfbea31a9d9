"""Refuses Keras files whose weights lie in other files: HDF5 can have any part of a file stand for a part of another.

Such a model reads any file that the user may read, and tells of it in its outputs. Runs in a child, before Keras opens
the file: the HDF5 library may crash, or never end, on a damaged one.
"""

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from quantlab.errors import ModelError
from quantlab.foreign import reading
from quantlab.models.files import is_keras_archive

__all__ = ["refuse_outside"]

_REMEDY = "it may be damaged, so copy or save it again"


def refuse_outside(path: Path) -> None:
    """Check the HDF5 file, or each in a `.keras` archive; nothing outside is opened.

    Raises:
        ModelError: If a link, a dataset's storage or a virtual dataset leads to another file; the message names both,
            and `--unsafe`. Also if HDF5 cannot read the file.
    """
    with reading(path, ModelError, _REMEDY):
        for file, name in _files(path):
            for place, what in _outside(file):
                raise ModelError(
                    f"'{path}' {what} at '{name}{place}', and a model's weights are read from its own file alone; "
                    f"if you trust the file, allow it with --unsafe"
                )


def _files(path: Path) -> Iterator[tuple[Path | IO[bytes], str]]:
    if not is_keras_archive(path):
        yield path, ""
        return
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.endswith(".h5"):
                # Not in memory: an archive may unpack to more than that. It is in the child's own folder.
                with tempfile.TemporaryFile() as copy, archive.open(member) as packed:
                    shutil.copyfileobj(packed, copy, 1 << 20)
                    yield copy, member.filename


def _outside(file: Path | IO[bytes]) -> Iterator[tuple[str, str]]:
    """Where in an HDF5 file something lies in another file, and what; without recursion, since depth is the file's."""
    import h5py

    with h5py.File(file, "r") as opened:
        waiting, seen = [("/", opened["/"])], set()
        while waiting:
            place, entry = waiting.pop()
            address = h5py.h5o.get_info(entry.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(entry, h5py.Dataset):
                yield from ((place, what) for what in _stored_outside(entry))
            elif isinstance(entry, h5py.Group):
                for name in entry:
                    below = f"{place.rstrip('/')}/{name}"
                    kind = entry.id.links.get_info(name.encode("utf-8", "surrogateescape")).type
                    if kind == h5py.h5l.TYPE_HARD:
                        waiting.append((below, entry[name]))
                    elif kind == h5py.h5l.TYPE_EXTERNAL:
                        yield below, f"links to '{entry.get(name, getlink=True).filename}'"
                    elif kind != h5py.h5l.TYPE_SOFT:
                        yield below, f"has a link of the unknown kind {kind}"


def _stored_outside(dataset: Any) -> Iterator[str]:
    for file, *_ in dataset.external or ():
        yield f"stores values in '{file}'"
    if dataset.is_virtual:
        for source in dataset.virtual_sources():
            if source.file_name != ".":
                yield f"takes values from '{source.file_name}'"
