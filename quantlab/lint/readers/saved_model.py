"""Reads a SavedModel in a child with TensorFlow; nothing of it is run."""

from pathlib import Path
from typing import Any

from quantlab.lint.children import ask_fork, weights_from
from quantlab.lint.subject import Op, Subject
from quantlab.types import Port

__all__ = ["read"]


def read(path: Path, signature: str | None = None) -> Subject:
    """Read every variable, and the ops that a signature reaches: by default the one that is served, as in analyses.

    Raises:
        ModelError: If TensorFlow cannot read it, or it does not have the signature.
    """
    said = ask_fork("quantlab.lint.saved_model_graph", path, signature=signature)
    return Subject(
        path=str(path),
        kind="SavedModel",
        name=path.name,
        inputs=_ports(said["inputs"]),
        outputs=_ports(said["outputs"]),
        ops=tuple(Op(**{**op, "inputs": tuple(op["inputs"]), "outputs": tuple(op["outputs"])}) for op in said["ops"]),
        weights=weights_from(said["weights"]),
        metadata={"version": said["version"]},
    )


def _ports(documents: list[dict[str, Any]]) -> tuple[Port, ...]:
    return tuple(Port(**{**document, "shape": tuple(document["shape"])}) for document in documents)
