"""Measures how much each op of a variant contributes to its error: each op quantized alone, and all but each.

The artifacts in between are made by the format's own converter, as with `--float-layers`, and run in Python. For
graph-models, one function takes the weights of one or the other artifact instead. The outputs are compared with those
of the float32 artifact. Each result is stored at once, so a study that was killed continues.
"""

from pathlib import Path

from quantlab.errors import StudyError
from quantlab.gate.judging import opened_model
from quantlab.gate.kept_scores import refuse_scores_only
from quantlab.models import ModelOptions, identify
from quantlab.progress import Progress, Silent
from quantlab.registries import REAL, Registries
from quantlab.store import Store
from quantlab.study.context import Context, pool_for
from quantlab.study.options import AnalyzeOptions, SensitivityOptions
from quantlab.study.sensitivity_measuring import Measuring
from quantlab.study.sensitivity_results import OpErrors
from quantlab.study.sensitivity_subject import Subject, subject_of
from quantlab.types import OpenedModel, Sensitivity, Study

__all__ = ["measure_alone", "measure_sensitivity"]


def measure_sensitivity(
    study: str | Path,
    *,
    options: SensitivityOptions | None = None,
    progress: Progress | None = None,
    registries: Registries = REAL,
) -> Sensitivity:
    """Measure how much each op of a setting contributes to its error.

    Args:
        study: The folder of a study with the setting, measured in Python.
        options: Everything else.
        progress: Receives events; nothing is printed.
        registries: The known formats, runtimes and converters.

    Returns:
        The ops, the most sensitive first. Those that could not be converted or run have a reason.

    Raises:
        UsageError: If the study has no such setting, or the setting has no ops that can be kept in float.
        StudyError: If the study, its model or its artifacts are missing or damaged.
        QuantlabError: If the float32 artifact cannot be run.
    """
    options = options or SensitivityOptions()
    store = Store(Path(study))
    kept = store.read_study()
    refuse_scores_only(kept, "'quantlab sensitivity'")
    opened = opened_model(store, kept)
    if opened is None:
        raise StudyError(f"'{study}' has no record of its model; run 'quantlab analyze' again")
    subject = subject_of(kept, options.setting, registries)
    if not Path(kept.model.path).exists():
        raise StudyError(
            f"the study's model '{kept.model.path}' is not there; put it back, or run this command in the folder in "
            f"which 'quantlab analyze' was run"
        )
    model = ModelOptions(signature=kept.model.signature, unsafe=options.unsafe)
    file = identify(Path(kept.model.path), model)
    asked = AnalyzeOptions(seed=options.seed, model=model, time_limit=options.time_limit, batch_size=kept.batch_size)
    with store.locked(), pool_for(file, store.work, asked, registries) as pool:
        store.refuse_other_model(file.sha256, file.path)
        context = Context(store, pool, asked, progress or Silent(), file, registries)
        return Measuring.of(context, kept, opened, subject, options).run()


def measure_alone(
    context: Context, study: Study, opened: OpenedModel, subject: Subject, *, deadline: float
) -> OpErrors:
    """Measure only the errors of single ops, the others in float, inside another step.

    Args:
        context: The context of that step. Results are kept in its store.
        study: It has the outputs of the float32 artifact; it need not be stored.
        opened: Its model.
        subject: The variant whose ops are measured.
        deadline: Time of `time.monotonic` after which no further op is measured.

    Raises:
        QuantlabError: If the float32 artifact or the variant cannot be run.
    """
    measuring = Measuring.of(context, study, opened, subject, SensitivityOptions(seed=study.seed))
    return measuring.alone(deadline)
