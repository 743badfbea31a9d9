"""Finds nearly equal thumbnails among many, without comparing all pairs of them.

A mean over blocks, and any other projection of a thumbnail, differs at most as much as the thumbnail does. Therefore
thumbnails are sorted by one projection, those within reach of a block by another one, and those within reach of a part
of it by a third one. What is within reach by all three is compared by 8 × 8 means in products of matrices, and what is
left is compared exactly, in integers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_IMAGES", "NEAR_DISTANCE", "STEPS", "Thumbnails"]

MOST_IMAGES = 100_000
"""Images among which nearly equal ones are found: thumbnails take at most 259 bytes each, and the time grows with the
square of their number. It holds for the scored images, and with `--group duplicates` for all of a source; among more,
only those that are equal byte by byte are found. Any number of scored images is compared with those of another part, of
which there may be so many."""

NEAR_DISTANCE = 0.05
"""Largest distance of nearly equal images, in units of their contrast.

The closest different garments among the 10,000 test images of Fashion-MNIST are 0.069 apart; two pairs are closer
(0.015 and 0.028), and show the same trousers and the same bag. The closest of 550 photos of flowers are 0.36 apart.
JPEG of quality 75 moves half of these photos by 0.02, and 99 % of them by at most 0.056.
"""
STEPS = 32
"""Steps of a thumbnail's values for each unit of contrast, so that an int8 holds four units."""

_COARSE = 8
_COLOUR_DISTANCE = 2 * NEAR_DISTANCE
"""Colours are means over the whole image, which noise does not move; this much is a visible change."""
_ROUNDING = 1e-3
"""Reserve for float32: a product of matrices may differ by 1e-6 of squares up to 4² units."""
_BLOCK_ROWS = 8192
"""Rows of which the candidates are found together: so many that a few of them, in the order of the second projection,
span little of it."""
_TILE_ROWS = (1024, 128)
"""Rows of a part of a block, and of a part of that: the fewer, the fewer others are within their reach."""
_SPREAD_ROWS = 1024
"""Rows from which the projection of a block is found; which one it is changes the time, and not what is near."""
_FEW_PAIRS = 2**17
_BLOCK_PAIRS = 4 * 2**20
_MOST_PAIRS = 2**19
"""Most pairs of candidates of a block that are compared before it is known which are copies of others. There are more
only if very many images are nearly equal, as those of a camera that stands still."""
_COMPARED_PAIRS = 2**14
_ROWS = 2**12
"""Thumbnails whose means are computed at a time."""
_FEW = 512
"""Most others with which each block of rows is compared, of which one projection leaves few for a row."""
_PRODUCT = (128, 31)
"""Rows and columns of a product of matrices that OpenBLAS computes in one thread (2¹⁸ multiplications). Its other ones
wait in loops for many milliseconds after each larger product, on a core that makes the next thumbnails."""


_Rows = int | NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Thumbnails:
    """Small grey images without brightness and contrast, and their colours."""

    values: NDArray[np.int8]
    """(n, rows · columns, and 3 in colour): grey values row by row, then the mean of each channel, in `STEPS`."""
    shape: tuple[int, int]
    """Rows and columns."""
    flat: NDArray[np.bool_]
    """(n,): whether an image has no contrast, or a value that is not finite; it is near to none."""

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """The thumbnails of consecutive blocks, at least one."""
        values, flat = (np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "flat"))
        return cls(values, parts[0].shape, flat)

    def room(self, n: int) -> Self:
        """Room for n thumbnails like these; its contents are of no meaning."""
        return type(self)(np.empty((n, self.values.shape[1]), np.int8), self.shape, np.empty(n, np.bool_))

    def at(self, rows: NDArray[np.intp]) -> Self:
        """Some of them, by position."""
        return type(self)(self.values[rows], self.shape, self.flat[rows])

    def copies(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Which are near to another one, of which each leads a group whose members are near to it.

        A leader is near to no other leader, so that no chain connects different images.

        Returns:
            (n,): the leader of each, or itself; and (n,): the distance from it.
        """
        leader, distances = np.arange(len(self.flat), dtype=np.int64), np.zeros(len(self.flat))
        sorted_ = _Sorted.of(self)
        order, copied = sorted_.order, np.zeros(len(sorted_.order), np.bool_)

        def apart_at(rows: _Rows, columns: _Rows) -> NDArray[np.float64]:
            return self._apart(order[rows], self, order[columns])

        for start, stop, _, end in sorted_.blocks(sorted_):
            left = start + np.flatnonzero(~copied[start:end])
            for row, near_by in sorted_.candidates(left[left < stop], sorted_, left, apart_at):
                if copied[row]:
                    continue
                partners = near_by[(near_by > row) & ~copied[near_by]]
                if not len(partners):  # each row is near to itself
                    continue
                apart = apart_at(row, partners)
                near = apart <= NEAR_DISTANCE
                copied[partners[near]] = True
                leader[order[partners[near]]], distances[order[partners[near]]] = order[row], apart[near]
        return leader, distances

    def near(self, others: Self) -> NDArray[np.bool_]:
        """Which are near to one of `others`: (n,)."""
        found = np.zeros(len(self.flat), np.bool_)
        if self.shape != others.shape or self.values.shape[1] != others.values.shape[1]:
            return found
        if len(others.flat) <= _FEW:
            for rows, columns in _pairs_with_few(self, others):
                found[rows[self._apart(rows, others, columns) <= NEAR_DISTANCE]] = True
            return found
        mine, theirs = _Sorted.of(self), _Sorted.of(others)

        def apart_at(rows: _Rows, columns: _Rows) -> NDArray[np.float64]:
            return self._apart(mine.order[rows], others, theirs.order[columns])

        for start, stop, begin, end in mine.blocks(theirs):
            for row, columns in mine.candidates(np.arange(start, stop), theirs, np.arange(begin, end), apart_at):
                found[mine.order[row]] = bool((apart_at(row, columns) <= NEAR_DISTANCE).any())
        return found

    def _apart(self, rows: _Rows, others: Self, columns: NDArray[np.intp]) -> NDArray[np.float64]:
        """Root mean square differences of one or as many from some of others; infinite where the colours differ."""
        grey, apart = self.shape[0] * self.shape[1], np.empty(len(columns))
        mine = np.broadcast_to(rows, columns.shape)
        for start in range(0, len(columns), _COMPARED_PAIRS):
            some = slice(start, start + _COMPARED_PAIRS)
            difference = others.values[columns[some]] - self.values[mine[some]].astype(np.int32)
            mean = np.einsum("ij,ij->i", difference[:, :grey], difference[:, :grey]) / grey
            other_colour = (np.abs(difference[:, grey:]) > _COLOUR_DISTANCE * STEPS).any(axis=1)
            apart[some] = np.where(other_colour, np.inf, np.sqrt(mean) / STEPS)
        return apart


def _reach() -> float:
    return NEAR_DISTANCE + _ROUNDING


@dataclass(frozen=True, slots=True, eq=False)
class _Sorted:
    """Thumbnails with contrast, in the order of a projection."""

    order: NDArray[np.intp]
    """(m,): their positions among all."""
    places: NDArray[np.float64]
    """(m,): their projections, ascending."""
    coarse: NDArray[np.float32]
    """(m, at most 64): means of blocks, whose Euclidean distance is a root mean square in units of contrast."""

    @classmethod
    def of(cls, thumbnails: Thumbnails) -> Self:
        rows = np.flatnonzero(~thumbnails.flat)
        coarse, height = _coarse(thumbnails.values[rows], thumbnails.shape)
        places = coarse @ _direction(height, coarse.shape[1] // height)
        order = np.argsort(places, kind="stable")
        return cls(rows[order], places[order], coarse[order].astype(np.float32))

    def blocks(self, others: "_Sorted") -> Iterator[tuple[int, int, int, int]]:
        """Ranges of rows, and the range of others within their reach."""
        for start in range(0, len(self.order), _BLOCK_ROWS):
            stop = min(len(self.order), start + _BLOCK_ROWS)
            begin = int(np.searchsorted(others.places, self.places[start] - _reach()))
            yield start, stop, begin, int(np.searchsorted(others.places, self.places[stop - 1] + _reach(), "right"))

    def candidates(
        self,
        rows: NDArray[np.intp],
        others: "_Sorted",
        columns: NDArray[np.intp],
        apart: "Callable[[_Rows, _Rows], NDArray[np.float64]]",
    ) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Rows that may be near to some columns of others, ascending, and those columns, ascending.

        Args:
            rows: Positions here.
            others: Where the columns are.
            columns: Positions there.
            apart: The distances of pairs of rows and columns, which leaves out most before the caller looks.
        """
        pairs = self._pairs(rows, others, columns)
        if pairs is None:
            some = max(1, min(512, _BLOCK_PAIRS // len(columns)))
            for first in range(0, len(rows), some):
                masks = _may_be_near(self.coarse[rows[first : first + some]], others.coarse[columns])
                yield from ((row, columns[mask]) for row, mask in zip(rows[first:].tolist(), masks, strict=False))
            return
        near = apart(*pairs) <= NEAR_DISTANCE
        of_rows, of_columns = pairs[0][near], pairs[1][near]
        order = np.lexsort((of_columns, of_rows))
        found, begins = np.unique(of_rows[order], return_index=True)
        yield from zip(found.tolist(), np.split(of_columns[order], begins[1:]), strict=bool(len(found)))

    def _pairs(
        self, rows: NDArray[np.intp], others: "_Sorted", columns: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
        """The rows and columns of pairs that may be near; None if there are too many."""
        found, count = [(rows[:0], columns[:0])], 0
        for some, within in self._tiles(rows, others, columns, _TILE_ROWS):
            of_rows, of_columns = np.nonzero(_may_be_near(self.coarse[some], others.coarse[within]))
            count += len(of_rows)
            if count > _MOST_PAIRS:
                return None
            found.append((some[of_rows], within[of_columns]))
        return np.concatenate([one for one, _ in found]), np.concatenate([other for _, other in found])

    def _tiles(
        self, rows: NDArray[np.intp], others: "_Sorted", columns: NDArray[np.intp], sizes: Sequence[int]
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Parts of the rows, and the columns within their reach along one more projection for each of the sizes."""
        if not sizes or len(rows) * len(columns) < _FEW_PAIRS:
            yield rows, columns
            return
        across = _widest(self.coarse[rows[:: -(-len(rows) // _SPREAD_ROWS)]])
        mine, theirs = self.coarse[rows] @ across, others.coarse[columns] @ across
        rows, columns = rows[np.argsort(mine)], columns[np.argsort(theirs)]
        mine, theirs = np.sort(mine), np.sort(theirs)
        for first in range(0, len(rows), sizes[0]):
            last = min(first + sizes[0], len(rows)) - 1
            begin = int(np.searchsorted(theirs, mine[first] - _reach()))
            end = int(np.searchsorted(theirs, mine[last] + _reach(), "right"))
            yield from self._tiles(rows[first : last + 1], others, columns[begin:end], sizes[1:])


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Thumbnails of a block that have contrast, in the order of a projection."""

    order: NDArray[np.intp]
    """(m,): their positions among all."""
    places: NDArray[np.float32]
    """(m,): their projections, ascending."""
    coarse: NDArray[np.float32]
    """(m, at most 64): as in `_Sorted`."""

    @classmethod
    def of(cls, thumbnails: Thumbnails, start: int, stop: int) -> Self:
        rows = start + np.flatnonzero(~thumbnails.flat[start:stop])
        means, height = _block_means(thumbnails.values[rows], thumbnails.shape)
        coarse = means.astype(np.float32)
        across = _direction(height, coarse.shape[1] // height).astype(np.float32)
        places = np.einsum("ij,j->i", coarse, across)  # without threads, as `_PRODUCT`
        order = np.argsort(places)
        return cls(rows[order], places[order], coarse[order])


def _pairs_with_few(thumbnails: Thumbnails, few: Thumbnails) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Positions of thumbnails, and of those few that each may be near to, pair by pair."""
    others, (tile_rows, tile_columns) = _Block.of(few, 0, len(few.flat)), _PRODUCT
    right = _right(others.coarse)
    for start in range(0, len(thumbnails.flat), _ROWS):
        own = _Block.of(thumbnails, start, start + _ROWS)
        left, found = _left(own.coarse), [(own.order[:0], others.order[:0])]
        for first in range(0, len(own.order), tile_rows):
            last = min(first + tile_rows, len(own.order))
            begin = int(np.searchsorted(others.places, own.places[first] - _reach()))
            end = int(np.searchsorted(others.places, own.places[last - 1] + _reach(), "right"))
            for column in range(begin, end, tile_columns):
                near = _within(left[first:last], right[column : min(end, column + tile_columns)])
                rows, columns = np.nonzero(near)
                found.append((own.order[first + rows], others.order[column + columns]))
        yield np.concatenate([one for one, _ in found]), np.concatenate([other for _, other in found])


def _may_be_near(mine: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of some may be near to which of others: (mine, theirs)."""
    return _within(_left(mine), _right(theirs))


def _left(coarse: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of the left factor: the square of a difference is one product, |a|² + |b|² − 2 a·b."""
    return np.hstack([-2 * coarse, _squares(coarse), np.ones((len(coarse), 1), np.float32)])


def _right(coarse: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of the right factor."""
    return np.hstack([coarse, np.ones((len(coarse), 1), np.float32), _squares(coarse)])


def _within(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.bool_]:
    near: NDArray[np.bool_] = left @ right.T <= np.float32(NEAR_DISTANCE**2 + _ROUNDING)
    return near


def _squares(values: NDArray[np.float32]) -> NDArray[np.float32]:
    sums: NDArray[np.float32] = (values**2).sum(axis=1, keepdims=True)
    return sums


def _widest(coarse: NDArray[np.float32]) -> NDArray[np.float64]:
    """The unit vector along which thumbnails of a block differ most."""
    centred = coarse.astype(np.float64) - coarse.mean(axis=0, dtype=np.float64)
    vector: NDArray[np.float64] = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    return vector


def _coarse(values: NDArray[np.int8], shape: tuple[int, int]) -> tuple[NDArray[np.float64], int]:
    """Weighted means of at most 8 × 8 blocks, and the number of their rows."""
    parts = [_block_means(values[start : start + _ROWS], shape) for start in range(0, max(1, len(values)), _ROWS)]
    return np.concatenate([means for means, _ in parts]), parts[0][1]


def _block_means(values: NDArray[np.int8], shape: tuple[int, int]) -> tuple[NDArray[np.float64], int]:
    sums, weights, sizes = values[:, : shape[0] * shape[1]].reshape(-1, *shape), [], []
    for axis, length in enumerate(shape, start=1):
        pieces = min(_COARSE, length)
        starts = np.arange(pieces) * length // pieces
        if length == 2 * pieces:  # the usual length; adding views is several times as fast as reduceat
            before = (slice(None),) * axis
            halves = sums[(*before, slice(0, None, 2))], sums[(*before, slice(1, None, 2))]
            sums = np.add(*halves, dtype=np.int16)
        else:
            sums = np.add.reduceat(sums, starts, axis=axis, dtype=np.int16)
        sizes.append(np.diff(starts, append=length))
        weights.append(sizes[-1] / length)
    # A thumbnail has at most 16 rows, and a block one or two: sums are exact, and so is division by sizes and steps.
    scale = np.sqrt(np.multiply.outer(*weights)) / np.multiply.outer(*sizes) / STEPS
    return (sums * scale).reshape(len(values), scale.size), len(scale)


def _direction(height: int, width: int) -> NDArray[np.float64]:
    """A unit vector along which images differ much: the middle against the margin, plus the top against the bottom."""
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    vector = (np.maximum(np.abs(rows), np.abs(columns)) - 0.5 + 0.5 * rows + 0.25 * columns).reshape(-1)
    length = float(np.sqrt((vector**2).sum()))
    return np.asarray(vector / length if length else vector)
