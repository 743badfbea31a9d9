"""The samples of a study as raw tensors, and programs that run a model on them (see `quantlab.runtimes.elsewhere`)."""

from pathlib import Path

from quantlab.errors import UsageError
from quantlab.names import counted, nearest
from quantlab.runtimes.elsewhere import write_inputs
from quantlab.types import Study, Variant
from quantlab_reports.exports.contract import Asked, Export, Written
from quantlab_reports.subject import Subject

__all__ = ["EXPORT", "export_inputs"]

_FOLDER = "inputs"


def export_inputs(subject: Subject, asked: Asked) -> Written:
    """Write the scored samples of a study, as the model or the artifact of a setting takes them.

    Raises:
        UsageError: If the study has no artifact of the setting, or the folder is not empty or cannot be written.
        StudyError: If the disk is too small, or the samples are no longer there.
    """
    study, folder = subject.study, asked.out or Path(_FOLDER)
    variant = None if asked.setting is None else _variant(study, asked.setting)
    samples = study.samples
    files = [samples.input_file(spec.name) for spec in samples.inputs]
    subject.store.refuse_too_large(sum(file.stat().st_size for file in files), "the inputs")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"'{folder}' is not empty, and nothing is written over; name another folder with --out")
        copied = write_inputs(folder, study, variant)
    except OSError as error:
        raise UsageError(f"'{folder}' cannot be written ({error.strerror}); name another folder with --out") from error
    what = "the model" if variant is None else variant.name
    notes = [f"{counted(samples.n, 'sample')} for {what}, and programs that run a model on them, written to '{folder}'"]
    if copied is not None:
        notes.append(copied)
    return Written((str(folder),), tuple(notes))


def _variant(study: Study, setting: str) -> Variant:
    made = {trial.setting: trial.variant for trial in study.trials if trial.variant is not None}
    if setting not in made or made[setting] is None:
        raise UsageError(f"the study has no artifact of the setting '{setting}'; {nearest(setting, made)}")
    return made[setting]


EXPORT = Export(frozenset({"setting", "out"}), judges=False, write=export_inputs)
"""`quantlab export inputs`."""
