"""Whether samples that static quantization was calibrated on are scored after all."""

import hashlib

import numpy as np

from quantlab.errors import SamplesError
from quantlab.npy import mapped
from quantlab.types import SampleSet

__all__ = ["refuse_overlap"]

_REFUSED_SHARE = 0.5


def refuse_overlap(samples: SampleSet, calibration: SampleSet) -> list[str]:
    """A warning where some calibration samples are also scored, byte by byte the same.

    A few equal samples in two sets are common (blank pictures); when it is half of them, the sets are the same.

    Raises:
        SamplesError: If half of the calibration samples or more are scored.
    """
    if calibration.source == samples.source:
        return []  # set aside from one source: apart by construction
    scored = _hashes(samples)
    common = len(scored & _hashes(calibration))
    which = f"{common:,} of the {calibration.n:,} samples of '{calibration.source}'"
    if common >= _REFUSED_SHARE * calibration.n:
        raise SamplesError(
            f"{which} are also in '{samples.source}', and what was calibrated on must not be scored; "
            f"leave --calibration out, and a part is set aside for it"
        )
    if not common:
        return []
    return [f"{which} are also scored, which flatters static quantization; remove them from either"]


def _hashes(samples: SampleSet) -> set[bytes]:
    arrays = [mapped(samples.input_file(spec.name)) for spec in samples.inputs]
    hashes = set()
    for index in range(samples.n):
        digest = hashlib.blake2b(digest_size=16)
        for array in arrays:
            digest.update(np.ascontiguousarray(array[index]).data)
        hashes.add(digest.digest())
    return hashes
