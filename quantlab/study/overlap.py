"""Checks whether calibration samples are also among the scored samples."""

import hashlib

import numpy as np

from quantlab.errors import SamplesError
from quantlab.npy import mapped
from quantlab.types import SampleSet

__all__ = ["refuse_overlap", "sample_hashes"]

_REFUSED_SHARE = 0.5


def refuse_overlap(samples: SampleSet, calibration: SampleSet) -> list[str]:
    """Return a warning if some calibration samples are also scored. Samples are compared byte by byte.

    A few equal samples are common (blank images). If half of them are equal, the sets are treated as the same.

    Raises:
        SamplesError: If half of the calibration samples or more are scored.
    """
    if calibration.source == samples.source:
        return []  # split from one source, so they cannot overlap
    common = len(set(sample_hashes(samples)) & set(sample_hashes(calibration)))
    which = f"{common:,} of the {calibration.n:,} samples of '{calibration.source}'"
    if common >= _REFUSED_SHARE * calibration.n:
        raise SamplesError(
            f"{which} are also in '{samples.source}', and calibration samples must not be scored; "
            f"leave --calibration out, and quantlab sets a part of the samples aside"
        )
    if not common:
        return []
    return [f"{which} are also scored, so static quantization looks better than it is; remove them from one of the two"]


def sample_hashes(samples: SampleSet) -> list[bytes]:
    """The hash of the bytes of each sample, over all inputs."""
    arrays = [mapped(samples.input_file(spec.name)) for spec in samples.inputs]
    hashes = []
    for index in range(samples.n):
        digest = hashlib.blake2b(digest_size=16)
        for array in arrays:
            digest.update(np.ascontiguousarray(array[index]).data)
        hashes.append(digest.digest())
    return hashes
