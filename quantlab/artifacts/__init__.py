"""Reads what is shipped: what an artifact holds, how it names inputs and outputs, what it weighs.

One file a format, and `ARTIFACTS`, the table that names them. Converters, runtimes and statistics all read artifacts,
so this lies below them.
"""

from quantlab.artifacts._kind import ArtifactKind, Contents
from quantlab.artifacts._table import ARTIFACTS
from quantlab.artifacts._variant import artifact_sha256, describe_given, describe_variant, transfer_of

__all__ = [
    "ARTIFACTS",
    "ArtifactKind",
    "Contents",
    "artifact_sha256",
    "describe_given",
    "describe_variant",
    "transfer_of",
]
