"""All exports. A new export is a file and a line here."""

from collections.abc import Mapping

from quantlab_reports.exports import golden, inputs, mlflow, model_explorer
from quantlab_reports.exports.contract import Export

__all__ = ["EXPORTS"]

EXPORTS: Mapping[str, Export] = {
    "model-explorer": model_explorer.EXPORT,
    "mlflow": mlflow.EXPORT,
    "inputs": inputs.EXPORT,
    "test": golden.EXPORT,
}
"""All exports of `quantlab export` by name."""
