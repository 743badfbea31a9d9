"""Checks whether samples of the calibration or of a search are also among the scored samples."""

import hashlib

import numpy as np

from quantlab.errors import SamplesError
from quantlab.npy import mapped
from quantlab.types import PackedArray, SampleSet
from quantlab_converters.packed_arrays import pack, unpack

__all__ = ["refuse_duplicates", "refuse_overlap", "refuse_tuned_on", "sample_hashes", "seen_samples"]

_REFUSED_SHARE = 0.5
_KEPT_BYTES = 8
"""Bytes of a hash that are kept: of a million samples, two have the same ones with a probability of 3e-8."""


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


def seen_samples(*sets: SampleSet | None) -> PackedArray:
    """The hashes of samples on which something is tuned, as `Tuning.seen` keeps them."""
    hashes = sorted({digest[:_KEPT_BYTES] for one in sets if one is not None for digest in sample_hashes(one)})
    return pack(np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, _KEPT_BYTES))


def refuse_duplicates(scored: SampleSet, *others: SampleSet | None) -> None:
    """Refuse parts of one source that share most of their samples, because the source holds equal ones.

    Raises:
        SamplesError: If half of the scored samples or more are equal to samples of the other parts, or the reverse.
    """
    elsewhere = {digest for other in others if other is not None for digest in sample_hashes(other)}
    common = sum(digest in elsewhere for digest in sample_hashes(scored))
    if common and common >= _REFUSED_SHARE * min(scored.n, len(elsewhere)):
        raise SamplesError(
            f"{common:,} of the {scored.n:,} samples for the verdict are equal to samples for the search or the "
            f"calibration, because '{scored.source}' holds equal samples; keep one of each"
        )


def refuse_tuned_on(samples: SampleSet, seen: PackedArray | None) -> list[str]:
    """Return a warning if some scored samples were calibrated or searched on. Samples are compared by their hashes.

    Args:
        samples: The scored samples.
        seen: What `seen_samples` gives, from a file that may be damaged; None if it is not known.

    Raises:
        SamplesError: If half of the scored samples or more were, or half of those that were calibrated or searched on
            are scored.
        ConversionError: If `seen` is damaged.
    """
    if seen is None:
        return []
    kept = unpack(seen, "the samples of the search")
    if kept.dtype != np.uint8 or kept.shape[1:] != (_KEPT_BYTES,):
        raise SamplesError("the samples of the search are damaged in tune.json; run 'quantlab tune' again")
    hashes = set(map(bytes, kept))
    common = sum(digest[:_KEPT_BYTES] in hashes for digest in sample_hashes(samples))
    if not common:
        return []
    which = f"{common:,} of the {samples.n:,} scored samples were calibrated or searched on by 'quantlab tune'"
    if common >= _REFUSED_SHARE * min(samples.n, len(hashes)):
        raise SamplesError(f"{which}, and such samples must not be scored; give other samples, or leave --tuned out")
    return [f"{which}, so the tuned rows look better than they are; remove equal samples"]


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
