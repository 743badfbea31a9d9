"""The inputs of a model, without a study."""

from pathlib import Path
from tempfile import TemporaryDirectory

from quantlab.models import ModelOptions, identify
from quantlab.progress import Progress, Silent
from quantlab.registries import REAL
from quantlab.store import Store
from quantlab.study.context import Context, open_model, pool_for
from quantlab.study.options import AnalyzeOptions
from quantlab.types import TensorSpec

__all__ = ["model_inputs"]


def model_inputs(
    model: str | Path, *, options: ModelOptions | None = None, progress: Progress | None = None
) -> tuple[TensorSpec, ...]:
    """Open a model in a child process and return its inputs, in the order of the model.

    Raises:
        ModelError: If it cannot be opened.
    """
    opening = options or ModelOptions()
    file, asked = identify(Path(model), opening), AnalyzeOptions(model=opening)
    with TemporaryDirectory(prefix="quantlab-") as folder:
        store = Store(Path(folder) / "opened.study")
        with store.locked(), pool_for(file, store.work, asked, REAL) as pool:
            return open_model(Context(store, pool, asked, progress or Silent(), file, REAL)).description.inputs
