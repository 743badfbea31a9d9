"""Into which buckets a sketch counts: what its loops and what reads it must agree on."""

__all__ = ["DROPPED_BITS"]

DROPPED_BITS = 16
"""Of the 23 of float32's mantissa: 7 remain, which make 128 buckets an octave."""
