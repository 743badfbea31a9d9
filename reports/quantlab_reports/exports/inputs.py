"""The samples of a study as raw tensors, and programs that run a model on them (see `quantlab.runtimes.elsewhere`)."""

from pathlib import Path

from quantlab.errors import StudyError, UsageError
from quantlab.gate import measured_shapes
from quantlab.names import counted, nearest
from quantlab.runtimes.elsewhere import layer_tensors, write_inputs, write_layer_inputs
from quantlab.samples import refuse_few
from quantlab.types import Inside, Study, Variant
from quantlab_reports.exports.contract import Asked, Export, Written
from quantlab_reports.exports.new_folder import new_folder
from quantlab_reports.figures import fixed
from quantlab_reports.subject import Subject

__all__ = ["EXPORT", "export_inputs"]

_FOLDER, _LAYER_FOLDER = "inputs", "layer-inputs"


def export_inputs(subject: Subject, asked: Asked) -> Written:
    """Write the scored samples of a study, as the model or the artifact of a setting takes them.

    Raises:
        UsageError: If the study has no artifact of the setting, or the folder is not empty or cannot be written.
        StudyError: If the disk is too small, or the samples are no longer there.
    """
    study, folder = subject.study, asked.out or Path(_LAYER_FOLDER if asked.layers else _FOLDER)
    variant = None if asked.setting is None else _variant(study, asked.setting)
    inside = _inside(subject, variant) if asked.layers else None
    if inside is None:
        refuse_few(study.samples, "'quantlab export inputs'")
    samples = study.samples if inside is None or inside.layer_samples is None else inside.layer_samples
    files = [samples.input_file(spec.name) for spec in samples.inputs]
    subject.store.refuse_too_large(sum(file.stat().st_size for file in files), "the inputs")
    with new_folder(folder) as place:
        if inside is not None and variant is not None:
            copy = write_layer_inputs(place, study, variant, inside, subject.formats[variant.format])
            return _written_layers(folder, variant, inside, None if copy is None else folder / copy.relative_to(place))
        copied = write_inputs(place, study, variant, measured_shapes(study))
    what = "the model" if variant is None else variant.name
    notes = [f"{counted(samples.n, 'sample')} for {what}, and programs that run a model on them, written to '{folder}'"]
    if copied is not None:
        notes.append(copied)
    return Written((str(folder),), tuple(notes))


def _inside(subject: Subject, variant: Variant | None) -> Inside:
    """The layer comparison with tensors of an artifact."""
    inside = subject.store.read_inside()
    if variant is None:
        raise UsageError("--layers needs --setting: it names the artifact whose tensors your program is to write")
    samples = inside.layer_samples
    if samples is None or not all(samples.input_file(spec.name).is_file() for spec in samples.inputs):
        raise StudyError(
            f"'{subject.store.root}' does not have the samples of its layer comparison any more; run 'quantlab "
            f"analyze' again, which reuses finished work"
        )
    if not layer_tensors(inside, variant.name):
        raise UsageError(
            f"no tensor of {variant.name} was compared with the reference, so there is none to write; 'quantlab show "
            f"layers --setting {variant.name}' says why"
        )
    return inside


def _written_layers(folder: Path, variant: Variant, inside: Inside, copy: Path | None) -> Written:
    tensors = layer_tensors(inside, variant.name)
    size = sum({row.tensor: 4 * row.count for row in inside.layers if row.setting == variant.name}.values())
    opened = "the artifact" if copy is None else f"'{copy}', a copy of the artifact that returns them,"
    note = (
        f"{counted(inside.samples, 'sample')} for {variant.name} written to '{folder}'; run {opened} with a dumper in "
        f"it, and give the {counted(len(tensors), 'tensor')} ({fixed(size / 1e6, 1)} MB) to 'quantlab import --layers'"
    )
    return Written((str(folder),), (note,))


def _variant(study: Study, setting: str) -> Variant:
    made = {trial.setting: trial.variant for trial in study.trials if trial.variant is not None}
    if setting not in made or made[setting] is None:
        raise UsageError(f"the study has no artifact of the setting '{setting}'; {nearest(setting, made)}")
    return made[setting]


EXPORT = Export(frozenset({"setting", "out", "layers"}), judges=False, write=export_inputs)
"""`quantlab export inputs`."""
