"""A checksum of each sample, by which a program elsewhere can show what it was fed, and in which order.

CRC-32 as in zlib (ISO 3309): every language has it, or it takes ten lines. It finds mistakes, not forgeries; two
samples have the same checksum by chance once in 4 · 10⁹ pairs.
"""

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from quantlab.formats.affine import encode
from quantlab.npy import mapped
from quantlab.samples.source import raw_bytes
from quantlab.types import Port, SampleSet

__all__ = ["as_fed", "checksums"]

_BLOCK_BYTES = 16 << 20

Array = npt.NDArray[Any]


def as_fed(values: Array, port: Port | None) -> Array:
    """Samples as an artifact takes them: codes where its input holds codes, and else as they are.

    Args:
        values: (k, …), of the model's data type.
        port: The artifact's input; None for the model itself.
    """
    return values if port is None or port.codes is None else encode(values, port.codes, port.dtype)


def checksums(samples: SampleSet, ports: Mapping[str, Port] | None = None) -> npt.NDArray[np.int64]:
    """CRC-32 of each sample, (n,): of the little-endian bytes of all its inputs, in the order of the model.

    Args:
        samples: A written set.
        ports: Input of the model → that of an artifact, for the bytes that this artifact takes.
    """
    sums = np.zeros(samples.n, np.int64)
    for spec in samples.inputs:
        values, port = mapped(samples.input_file(spec.name)), (ports or {}).get(spec.name)
        step = max(1, _BLOCK_BYTES // max(1, values[:1].nbytes))
        for start in range(0, samples.n, step):
            for place, sample in enumerate(as_fed(np.asarray(values[start : start + step]), port), start):
                sums[place] = zlib.crc32(raw_bytes(sample), int(sums[place]))
    return sums
