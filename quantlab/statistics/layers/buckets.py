"""Bucket size of the error sketch, shared by the compiled loops and the code that reads the counts."""

__all__ = ["DROPPED_BITS"]

DROPPED_BITS = 16
"""Mantissa bits that are dropped, of float32's 23: 7 remain, which gives 128 buckets per power of two."""
