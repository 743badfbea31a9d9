"""Compares imported layers with the reference at once, with the model and the artifacts that a study keeps."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from quantlab.errors import QuantlabError, StudyError
from quantlab.models import ModelFile
from quantlab.processes import describe
from quantlab.progress import Progress
from quantlab.registries import Registries
from quantlab.store import Store
from quantlab.study.context import Context, pool_for
from quantlab.study.importing.layers import layer_samples
from quantlab.study.importing.rows import imported_layers, read_imports
from quantlab.study.inside.choice import TapChoice
from quantlab.study.inside.comparison import LayerStudy
from quantlab.study.inside.look import with_trial
from quantlab.study.inside.sessions import SessionInputs
from quantlab.study.integrity import intact_model
from quantlab.study.options import AnalyzeOptions
from quantlab.study.reference import layer_batch
from quantlab.types import Inside, OpenedModel, Study, TensorSpec, TrialLayers

__all__ = ["compare_imported"]

_NO_ROWS = TrialLayers((), ())


def compare_imported(
    store: Store,
    study: Study,
    row: tuple[str, str],
    outputs: Sequence[TensorSpec],
    registries: Registries,
    progress: Progress,
) -> str | None:
    """Bring the layer comparison of a study up to date for one imported row, which may be gone.

    Args:
        store: The study on disk, locked.
        study: The study.
        row: Setting of the row, and name of the program.
        outputs: The outputs of the model, as they were observed.
        registries: The known formats, runtimes and converters.
        progress: Receives events.

    Returns:
        Why layers could not be compared, with what to do; None if they were, or if the row has none.
    """
    inside = store.inside_or_none()
    if inside is None:
        return None
    samples = inside.layer_samples
    dumped = {} if samples is None else imported_layers(read_imports(store), study.trials, samples)
    rows, failed = _NO_ROWS, None
    if row in dumped:
        try:
            with _context(store, study, row[0], registries, progress) as context:
                rows = _compared(context, study, inside, row, outputs)
        except QuantlabError as error:
            failed = f"the layers were kept, but not compared ({describe(error)}); run 'quantlab analyze' again"
    store.write_inside(with_trial(inside, study, *row, rows))
    return failed


@contextmanager
def _context(store: Store, study: Study, setting: str, registries: Registries, progress: Progress) -> Iterator[Context]:
    """A context in which variants and the reference are opened; the model's own file is not read again."""
    file = ModelFile(Path(study.model.path), study.model.kind, study.model.sha256)  # type: ignore[arg-type]  # recorded
    options = AnalyzeOptions(seed=study.seed, batch_size=study.batch_size, variants={setting: Path()})
    with pool_for(file, store.work, options, registries) as pool:
        yield Context(store, pool, options, progress, file, registries)


def _compared(
    context: Context, study: Study, inside: Inside, row: tuple[str, str], outputs: Sequence[TensorSpec]
) -> TrialLayers:
    samples, formats = layer_samples(inside), context.registries.formats
    batch_size = layer_batch(formats, study.trials, study.batch_size)
    layers = LayerStudy(
        SessionInputs(context, samples, tuple(outputs), batch_size),
        _kept_model(context.store, study, context.registries),
        np.asarray(inside.indices),
        study.scored_output,
        study.trials,
        TapChoice(None, ()),
        reference_environment=study.reference.environment,
        dumped=imported_layers(read_imports(context.store), study.trials, samples),
    )
    compared = layers.rows_of([trial for trial in study.trials if (trial.setting, trial.runtime) == row])
    if not compared:
        raise StudyError(f"the study has no layers of the float32 variant that belongs to {row[0]}")
    return compared[0]


def _kept_model(store: Store, study: Study, registries: Registries) -> OpenedModel:
    """The model as the study opened it."""
    records = sorted((store.root / "model").glob("*/opened.json"), key=lambda path: path.stat().st_mtime)
    for record in reversed(records):
        opened = store.read(record, OpenedModel)
        if opened is not None and opened.description == study.model:
            if intact_model(opened, registries) in {"intact", "no hash"}:
                return opened
            raise StudyError(f"'{opened.source}', from which the reference is read, is missing or damaged")
    raise StudyError("the study does not have its model any more")
