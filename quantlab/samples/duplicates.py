"""Finds samples that are equal or nearly equal, from a fingerprint of fixed size for each sample.

The fingerprint is a hash of a sample's bytes and, for images, a thumbnail of at most 16 × 16 grey values from which
brightness and contrast are removed (see `near.py`). A photo that was compressed again, resized or made darker is nearly
equal; one that was shifted, cropped or mirrored is another sample.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from quantlab.samples.near import Thumbnails
from quantlab.samples.source import Array, raw_bytes
from quantlab.samples.thumbnails import thumbnails
from quantlab.types import TensorSpec

__all__ = ["Copies", "Fingerprints", "PlacedFingerprints", "thumbnails_of"]

_DIGEST_BYTES = 16
_WORD = 8
_IMAGE_RANK = 4


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprints:
    """What is kept of samples to find equal ones: 16 bytes for each, and at most 259 of an image that is compared."""

    digests: Array
    """(n, 16) uint8: hash of each sample's bytes, over all inputs."""
    thumbnails: Thumbnails | None
    """None if samples are not compared as images, or are none: the only input has rank 3 with 1 or 3 channels, last or
    first."""
    searched: bool = True
    """Whether images, if samples are images, are compared as such."""

    @classmethod
    def of(cls, block: Mapping[str, Array], inputs: Sequence[TensorSpec], *, compared: bool = True) -> Self:
        """Fingerprint consecutive samples.

        Args:
            block: Input name → (rows, …), in the data types in which runtimes are fed.
            inputs: The inputs in their order.
            compared: Whether images are compared as such.
        """
        digests = _digests([block[spec.name] for spec in inputs])
        if compared:
            return cls(digests, thumbnails_of(block, inputs))
        return cls(digests, None, _images_of(block, inputs) is None)

    def room(self, n: int) -> Self:
        """Room for the fingerprints of n samples like these; its contents are of no meaning."""
        digests = np.empty((n, _DIGEST_BYTES), np.uint8)
        return type(self)(digests, None if self.thumbnails is None else self.thumbnails.room(n), self.searched)

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.digests)

    @property
    def hashes(self) -> list[bytes]:
        """The hash of each sample's bytes, 16 bytes long."""
        return [bytes(digest) for digest in self.digests]

    def among(self, others: Collection[bytes], *, length: int) -> NDArray[np.bool_]:
        """Which samples have a hash whose first `length` bytes, 1 to 16, are among others of that length: (n,)."""
        # NumPy sorts integers, of which there are some of 8 bytes, ten times as fast as bytes.
        known = np.frombuffer(b"".join(others), "<u8" if length == _WORD else np.dtype((np.void, length)))
        own = np.ascontiguousarray(self.digests[:, :length]).view(known.dtype).reshape(-1)
        found: NDArray[np.bool_] = np.isin(own, known)
        return found

    def at(self, rows: NDArray[np.intp]) -> Self:
        """The fingerprints of some samples, by position."""
        thumbnails = None if self.thumbnails is None else self.thumbnails.at(rows)
        return type(self)(self.digests[rows], thumbnails, self.searched)

    def near(self, others: Self) -> NDArray[np.bool_]:
        """Which samples are images that are nearly equal to one of `others`: (n,)."""
        if self.thumbnails is None or others.thumbnails is None:
            return np.zeros(self.n, np.bool_)
        return self.thumbnails.near(others.thumbnails)


class PlacedFingerprints:
    """The fingerprints of n samples, which may come in any order; memory holds them once."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._whole: Fingerprints | None = None

    def put(self, places: NDArray[np.int64], own: Fingerprints) -> None:
        """Keep the fingerprints of some samples at their places."""
        if self._whole is None:
            self._whole = own.room(self._n)
        self._whole.digests[places] = own.digests
        if self._whole.thumbnails is not None and own.thumbnails is not None:
            self._whole.thumbnails.values[places] = own.thumbnails.values
            self._whole.thumbnails.flat[places] = own.thumbnails.flat

    @property
    def whole(self) -> Fingerprints:
        """Those of all samples, once each was put."""
        assert self._whole is not None  # noqa: S101 (a part has at least one sample)
        return self._whole


@dataclass(frozen=True, slots=True, eq=False)
class Copies:
    """Which samples are copies of another one."""

    of: NDArray[np.int64]
    """(n,): the sample that each is equal or nearly equal to, or the sample itself."""
    distances: NDArray[np.float64]
    """(n,): 0 if it is equal byte by byte, otherwise the distance of the images."""
    searched: bool = True
    """Whether images, if samples are images, were compared as such."""

    @classmethod
    def find(cls, fingerprints: Fingerprints) -> Self:
        """Compare all samples with each other: equal ones with the first of their kind, others see `Thumbnails`."""
        of, distances = _first_equal(fingerprints.digests), np.zeros(fingerprints.n)
        if fingerprints.thumbnails is not None:
            kinds = np.flatnonzero(of == np.arange(len(of)))
            leaders, apart = fingerprints.thumbnails.at(kinds).copies()
            of[kinds], distances[kinds] = kinds[leaders], apart
        return cls(of, distances, fingerprints.searched)

    @property
    def codes(self) -> NDArray[np.int64]:
        """(n,): group of each sample, from 0; a sample without copies is a group."""
        # An equal sample points at the first of its kind, which may itself be nearly equal to another one.
        return np.asarray(np.unique(self.of[self.of], return_inverse=True)[1].reshape(-1), np.int64)

    @property
    def copies(self) -> NDArray[np.intp]:
        """Ascending positions of the samples that are copies of another one; a group of k has k − 1."""
        return np.flatnonzero(self.of != np.arange(len(self.of)))

    @property
    def equal(self) -> int:
        """Number of copies that are equal byte by byte."""
        copies = self.copies
        return int(np.count_nonzero(self.distances[copies] == 0))


def _first_equal(digests: Array) -> NDArray[np.int64]:
    """(n,): the first sample with the same digest, which may be the sample itself."""
    halves = np.ascontiguousarray(digests).view("<u8").reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0]))  # stable, so the first of equal ones comes first
    sorted_ = halves[order]
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (sorted_[1:] != sorted_[:-1]).any(axis=1)
    of = np.empty(len(order), np.int64)
    of[order] = order[begins][np.cumsum(begins) - 1]
    return of


def thumbnails_of(block: Mapping[str, Array], inputs: Sequence[TensorSpec]) -> Thumbnails | None:
    """The thumbnails of consecutive samples, see `Fingerprints.of`; None if they are no images."""
    images = _images_of(block, inputs)
    return None if images is None else thumbnails(images)


def _images_of(block: Mapping[str, Array], inputs: Sequence[TensorSpec]) -> Array | None:
    return _images(block[inputs[0].name]) if len(inputs) == 1 else None


def _digests(arrays: Sequence[Array]) -> Array:
    n = len(arrays[0])
    # Parts of one view of all bytes: a view of each sample would take as long as its hash.
    whole = [(raw_bytes(values), values.nbytes // max(1, n)) for values in arrays]
    digests = bytearray()
    for index in range(n):
        digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        for held, size in whole:
            digest.update(held[index * size : (index + 1) * size])
        digests += digest.digest()
    return np.frombuffer(digests, np.uint8).reshape(n, _DIGEST_BYTES)


def _images(values: Array) -> Array | None:
    """Samples as (n, rows, columns, channels); None if they are no images."""
    if values.ndim != _IMAGE_RANK or values.dtype.kind not in "uif" or 0 in values.shape[1:]:
        return None
    if values.shape[3] in (1, 3):
        return values
    return np.moveaxis(values, 1, 3) if values.shape[1] in (1, 3) else None
