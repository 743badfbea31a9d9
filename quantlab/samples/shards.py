"""Files of samples as streams whose bytes are the same on every pass.

A file is read in blocks, wherever it lies. The first time that a block is read, its hash is kept, 16 bytes for 256 KB;
each later time it must have the same. So the second pass may read some parts only, and is checked nevertheless.
"""

import hashlib
import io
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from quantlab.errors import SamplesError

__all__ = ["BLOCK_BYTES", "Shard", "local_shard"]

BLOCK_BYTES = 256 * 1024
"""Bytes that are hashed at once, and the least that is read."""

_AHEAD_BLOCKS = 16
"""Most blocks that are read at once if a file is read in order, so that requests to a server are few."""
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of samples."""

    name: str
    """For messages: a path, or an address without anything secret."""
    size: Callable[[], int]
    """Function that tells its size in bytes."""
    read: Callable[[int, int], bytes]
    """Function from the first byte to, not including, the last one to these bytes."""
    path: Path | None = None
    """The file; None if it lies elsewhere."""
    _digests: dict[int, bytes] = field(default_factory=dict)
    _sizes: list[int] = field(default_factory=list)

    def open(self) -> BinaryIO:
        """The bytes, as a seekable stream.

        Raises:
            SamplesError: On reading, if a block has other bytes than before, or the file another size.
        """
        return io.BufferedReader(_Stream(self), BLOCK_BYTES)

    def sha256(self) -> str:
        """SHA-256 over the hashes of all blocks; those that were not read yet are read."""
        stream = _Stream(self)
        for index in range(stream.blocks):
            if index not in self._digests:
                stream.block(index)
        digest = hashlib.sha256(stream.size.to_bytes(8, "little"))
        for index in range(stream.blocks):
            digest.update(self._digests[index])
        return digest.hexdigest()

    def checked_size(self) -> int:
        """Its size in bytes, the same as at the first time."""
        size = self.size()
        if not self._sizes:
            self._sizes.append(size)
        if size != self._sizes[0]:
            raise self.changed()
        return size

    def check(self, index: int, block: bytes) -> None:
        """Compare a block with what it was before; see `open`."""
        digest = hashlib.blake2b(block, digest_size=_DIGEST_BYTES).digest()
        if self._digests.setdefault(index, digest) != digest:
            raise self.changed()

    def changed(self) -> SamplesError:
        """The error for a file that was written while it was read."""
        return SamplesError(
            f"'{self.name}' changed while it was read, but every runtime must be fed the same samples; run the command "
            f"again when nothing writes to it"
        )


class _Stream(io.RawIOBase):
    """A shard as a stream; it keeps the blocks that were read last."""

    def __init__(self, shard: Shard) -> None:
        self._shard, self._place = shard, 0
        self.size = shard.checked_size()
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._next, self._ahead = -1, 1

    @property
    def blocks(self) -> int:
        return -(-self.size // BLOCK_BYTES)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"byte {base + offset} is before the beginning")
        self._place = base + offset
        return self._place

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # any writable buffer
        if self._place >= self.size:
            return 0
        index, within = divmod(self._place, BLOCK_BYTES)
        block = self.block(index)
        part = block[within : within + len(buffer)]
        buffer[: len(part)] = part
        self._place += len(part)
        return len(part)

    def block(self, index: int) -> bytes:
        if index not in self._kept:
            self._load(index)
        return self._kept[index]

    def _load(self, index: int) -> None:
        # Twice as much for each time that a file was read on in order; one block where it is read here and there.
        self._ahead = min(2 * self._ahead, _AHEAD_BLOCKS) if index == self._next else 1
        stop = min(index + self._ahead, self.blocks)
        first, last = index * BLOCK_BYTES, min(stop * BLOCK_BYTES, self.size)
        content = self._shard.read(first, last)
        if len(content) != last - first:
            raise self._shard.changed()
        for place in range(index, stop):
            block = content[(place - index) * BLOCK_BYTES : (place - index + 1) * BLOCK_BYTES]
            self._shard.check(place, block)
            self._kept[place] = block
            self._kept.move_to_end(place)
        while len(self._kept) > 2 * _AHEAD_BLOCKS:
            self._kept.popitem(last=False)
        self._next = stop


def local_shard(path: Path, name: str) -> Shard:
    """A file of this machine; if it was removed since it was found, a SamplesError says so."""

    def size() -> int:
        with _naming_removed(name):
            return path.stat().st_size

    def read(first: int, last: int) -> bytes:
        with _naming_removed(name), path.open("rb") as file:
            file.seek(first)
            return file.read(last - first)

    return Shard(name, size, read, path)


@contextmanager
def _naming_removed(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise SamplesError(
            f"'{name}' was removed while the command ran, and is read more than once; put it back, and run the command "
            f"again"
        ) from error
