"""Hashes of samples on which something was calibrated or searched, which are never scored."""

import hashlib

import numpy as np

from quantlab.errors import SamplesError
from quantlab.npy import mapped
from quantlab.samples import KEPT_BYTES
from quantlab.types import PackedArray, SampleSet
from quantlab_converters.packed_arrays import pack, unpack

__all__ = ["sample_hashes", "seen_hashes", "seen_samples"]


def seen_samples(*sets: SampleSet | None) -> PackedArray:
    """The hashes of samples on which something is tuned, as `Tuning.seen` keeps them."""
    hashes = sorted({digest[:KEPT_BYTES] for one in sets if one is not None for digest in sample_hashes(one)})
    return pack(np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, KEPT_BYTES))


def seen_hashes(seen: PackedArray | None) -> frozenset[bytes]:
    """The first bytes of hashes that `seen_samples` packed; none for None, which is of an older quantlab.

    Raises:
        SamplesError: If they are damaged.
        ConversionError: If they are damaged.
    """
    if seen is None:
        return frozenset()
    kept = unpack(seen, "the samples of the search")
    if kept.dtype != np.uint8 or kept.shape[1:] != (KEPT_BYTES,):
        raise SamplesError("the samples of the search are damaged in tune.json; run 'quantlab tune' again")
    return frozenset(map(bytes, kept))


def sample_hashes(samples: SampleSet) -> list[bytes]:
    """The hash of the bytes of each sample, over all inputs, as `Fingerprints.hashes`."""
    arrays = [mapped(samples.input_file(spec.name)) for spec in samples.inputs]
    hashes = []
    for index in range(samples.n):
        digest = hashlib.blake2b(digest_size=16)
        for array in arrays:
            digest.update(np.ascontiguousarray(array[index]).data)
        hashes.append(digest.digest())
    return hashes
