"""Whether outputs were made from the samples of a study, in their order.

A program that runs elsewhere is fed files that may be others, or in another order. It therefore computes a checksum of
each sample that it feeds (`quantlab.samples.checksums`).
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from quantlab.errors import SamplesError, UsageError
from quantlab.samples import checksums
from quantlab.study.importing.contents import Dump
from quantlab.types import SampleSet, Variant
from quantlab.types.imports import Matching

__all__ = ["match"]

_LEAST_DIGITS = 12
"""Digits of a hash that the footer of a table shows."""


def match(
    dump: Dump, samples: SampleSet, variant: Variant, path: Path, *, sha256: str | None, trust_order: bool
) -> Matching:
    """Check that outputs were made from these samples, and return how it is known.

    Args:
        dump: The outputs.
        samples: The samples that the study scored.
        variant: The artifact that the program ran; it may be fed codes.
        path: Where the outputs are, for messages.
        sha256: Hash of the samples, at least 12 digits, if the user gives it.
        trust_order: Whether the user vouches for samples and order.

    Raises:
        SamplesError: If they were made from others, or in another order.
        UsageError: If nothing says from which samples they were made, the given hash is none, or the user gives a hash
            and vouches besides.
    """
    if sha256 is not None and trust_order:
        raise UsageError(
            "--samples compares the samples, and --trust-order says that nobody can; leave one of them out"
        )
    if sha256 is not None and not _is_hash(sha256):
        raise UsageError(
            f"--samples {sha256} is no hash; give at least {_LEAST_DIGITS} digits of the SHA-256 below the table"
        )
    for told, by in ((dump.samples_sha256, f"'{path}'"), (sha256, "--samples")):
        if told is not None and not (_is_hash(told) and samples.sha256.startswith(told.lower())):
            raise SamplesError(
                f"{by} names samples with the SHA-256 {told[:_LEAST_DIGITS]}, and the study scored "
                f"{samples.sha256[:_LEAST_DIGITS]}; write the samples with 'quantlab export inputs', and run the "
                f"program on these"
            )
    if dump.crc32 is not None:
        ports = {port.name: port for port in variant.inputs}
        if any(port.codes for port in variant.inputs) and np.array_equal(dump.crc32, checksums(samples, ports)):
            return "checksums"
        _refuse_other(dump.crc32, checksums(samples), path)
        return "checksums"
    if dump.samples_sha256 is not None or sha256 is not None:
        return "hash"
    if trust_order:
        return "order"
    raise UsageError(
        f"'{path}' does not say from which samples its outputs are; write it with a dumper of 'quantlab export "
        f"inputs', or give --samples {samples.sha256[:_LEAST_DIGITS]} if they are from these, or --trust-order"
    )


def _is_hash(text: str) -> bool:
    return _LEAST_DIGITS <= len(text) <= 64 and set(text.lower()) <= set("0123456789abcdef")


def _refuse_other(fed: npt.NDArray[np.int64], expected: npt.NDArray[np.int64], path: Path) -> None:
    if len(fed) != len(expected):
        raise SamplesError(
            f"'{path}' has checksums of {len(fed):,} samples, and the study scored {len(expected):,}; run the program "
            f"on all samples that 'quantlab export inputs' wrote"
        )
    differing = np.flatnonzero(fed != expected)
    if not differing.size:
        return
    first = int(differing[0])
    place = np.flatnonzero(expected == fed[first])
    if place.size:
        what = f"row {first:,} was made from sample {place[0]:,}"
        remedy = "write the outputs in the order of the samples"
    else:
        what = f"row {first:,} was made from other values than those of sample {first:,}"
        remedy = "feed the bytes that 'quantlab export inputs' wrote"
    raise SamplesError(
        f"the outputs in '{path}' are not those of the samples: {what}, and {len(differing):,} of {len(fed):,} rows "
        f"differ so; {remedy}"
    )
