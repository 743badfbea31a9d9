"""Files that cannot be read in parts, at addresses: each is copied whole while samples are read, and then removed."""

import glob
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from quantlab.errors import SamplesError
from quantlab.samples.addresses import is_address, parts_of, refuse_secret
from quantlab.samples.leftovers import DOWNLOADING
from quantlab.samples.places import numbered, shards_at

__all__ = ["downloaded", "suffix_at"]

_PART_BYTES = 4 * 2**20


def suffix_at(text: str, suffixes: Collection[str]) -> str | None:
    """The suffix of the one file that an address names, if it is one of some; None for anything else.

    >>> [suffix_at(text, [".npz"]) for text in ("https://host/x.npz", "https://host/x.csv", "x.npz")]
    ['.npz', None, None]
    """
    if not is_address(text) or glob.has_magic(parts_of(text).path) or numbered(text) != [text]:
        return None
    suffix = PurePosixPath(parts_of(text).path).suffix.lower()
    return suffix if suffix in suffixes else None


@contextmanager
def downloaded(text: str, suffixes: Collection[str], folder: Path) -> Iterator[Path | None]:
    """A copy of the file at an address, in a folder that is removed; None if the text names no such file.

    Args:
        text: What the user named.
        suffixes: Those of files that are copied.
        folder: Where there is room.

    Raises:
        SamplesError: If the file cannot be read, changes meanwhile, or is larger than the free space.
        UsageError: If a library for the address is missing, or it holds a password or a signature.
    """
    suffix = suffix_at(text, suffixes)
    if suffix is None:
        yield None
        return
    refuse_secret(text, "copy the file to this machine")
    (shard,) = shards_at([text], Path())
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=DOWNLOADING, dir=folder) as place:
        size, free = shard.checked_size(), shutil.disk_usage(place).free
        if size > free:
            raise SamplesError(
                f"'{shard.name}' has {size / 1e6:,.2f} MB and is copied to '{folder}', where only {free / 1e6:,.2f} MB "
                f"are free; free some space, or choose another folder with --out"
            )
        path = Path(place, f"samples{suffix}")
        with shard.open() as content, path.open("wb") as file:
            shutil.copyfileobj(content, file, _PART_BYTES)
        yield path
