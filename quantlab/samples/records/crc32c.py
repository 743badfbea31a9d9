"""CRC-32C, by which TFRecord files are checked; the standard library has only the CRC-32 of zlib.

Sources: RFC 3720, appendix B.4; for the mask, tensorflow/core/lib/hash/crc32c.h.
"""

from functools import cache
from typing import Any, cast

import numba
import numpy as np

__all__ = ["crc32c", "masked"]

_POLYNOMIAL = 0x82F63B78
_MASK = 0xA282EAD8


def crc32c(content: bytes) -> int:
    """The checksum of some bytes.

    >>> hex(crc32c(b"123456789")), crc32c(b"")
    ('0xe3069283', 0)
    """
    return int(_loop()(np.frombuffer(content, np.uint8), _table()))


def masked(checksum: int) -> int:
    """A checksum as it is stored beside the bytes, so that one over both of them is of use.

    >>> hex(masked(crc32c(b"123456789")))
    '0xc78ab0e5'
    """
    return (((checksum >> 15) | (checksum << 17)) + _MASK) & 0xFFFFFFFF


@cache
def _table() -> Any:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


def _checksum(content: Any, table: Any) -> Any:
    value = np.uint32(0xFFFFFFFF)
    for byte in content:
        value = table[(value ^ byte) & np.uint32(0xFF)] ^ (value >> np.uint32(8))
    return value ^ np.uint32(0xFFFFFFFF)


@cache
def _loop() -> Any:
    """The compiled loop, kept on disk if that is possible."""
    signature = "uint32(Array(uint8, 1, 'C', readonly=True), Array(uint32, 1, 'C'))"
    try:
        return cast("Any", numba.njit(signature, nogil=True, cache=True)(_checksum))
    except (RuntimeError, OSError):  # no place is writable, or the disk is full
        return cast("Any", numba.njit(signature, nogil=True)(_checksum))
