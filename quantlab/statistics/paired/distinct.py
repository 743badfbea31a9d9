"""Samples with equal rows are counted, and stored once: a resample then costs as much as there are distinct rows."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["DistinctRows"]


@dataclass(frozen=True, slots=True)
class DistinctRows:
    """The distinct rows of a table with a row for each sample; its fields are those of `Totals`."""

    rows: NDArray[Any]
    """(distinct rows, columns): in ascending order."""
    multiplicity: NDArray[np.int64]
    """(distinct rows,): number of samples with that row."""
    row_of: NDArray[np.intp]
    """(n,): the row of each sample."""

    @classmethod
    def of(cls, columns: NDArray[Any]) -> Self:
        """Find the distinct rows of (n, columns).

        >>> distinct = DistinctRows.of(np.array([[1, 0], [0, 1], [1, 0]]))
        >>> distinct.rows.tolist(), distinct.multiplicity.tolist(), distinct.row_of.tolist()
        ([[0, 1], [1, 0]], [1, 2], [1, 0, 1])
        """
        rows, row_of, multiplicity = np.unique(columns, axis=0, return_inverse=True, return_counts=True)
        return cls(rows, multiplicity.astype(np.int64), row_of.reshape(-1))  # NumPy 2.0 gives (n, 1)

    def sparse(self) -> Any:
        """The rows as a SciPy sparse matrix of float64."""
        from scipy.sparse import csr_matrix  # imported here because SciPy is slow to import and few commands need it

        return csr_matrix(self.rows.astype(np.float64))
