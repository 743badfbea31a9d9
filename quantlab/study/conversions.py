"""Variants from settings: read from the store, or made by the format's converter."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from quantlab.errors import QuantlabError, StudyError, UsageError
from quantlab.formats import Format, describe_given, describe_variant
from quantlab.models import identify
from quantlab.names import counted_candidates, joined
from quantlab.progress import Progress, Silent
from quantlab.registries import REAL, Registries
from quantlab.samples import refuse_few
from quantlab.store import Store, key_of
from quantlab.study.calibration_check import stretching_samples
from quantlab.study.calibration_telling import told_alone
from quantlab.study.chosen_settings import settings_for
from quantlab.study.codes import RAW, note_half_way, with_raw_pixels
from quantlab.study.context import Context, model_identity, open_model, pool_for
from quantlab.study.integrity import intact_variant
from quantlab.study.left_in_float import note_left_in_float
from quantlab.study.non_finite import FiniteCheck
from quantlab.study.non_finite_words import calibration_warning, explained_failure
from quantlab.study.not_made import why_not_made
from quantlab.study.options import AnalyzeOptions
from quantlab.study.suspicions import unusual_precision
from quantlab.types import (
    KEEPS_FLOAT,
    TUNED,
    Failure,
    FileState,
    OpenedModel,
    SampleSet,
    Setting,
    TunedWeights,
    Variant,
)
from quantlab_converters import Conversion, ConversionRequest, convert_settings

__all__ = ["PHASE", "ConversionResult", "convert", "given_variant", "make_variants"]


PHASE = "convert"
"""The phase of a study in which its settings are converted, for its progress."""


_OWN = "made by quantlab, not by the official converter"


@dataclass(frozen=True, slots=True)
class ConversionResult:
    """The result of converting a setting: a variant, or the reason why there is none."""

    setting: str
    variant: Variant | None
    failure: Failure | None = None


def make_variants(
    context: Context,
    model: OpenedModel,
    settings: Iterable[Setting],
    *,
    samples: SampleSet | None,
    calibration: SampleSet | None,
) -> Iterator[ConversionResult]:
    """Yield the variants of one format's settings: stored ones first, the others as they are converted."""
    missing: dict[str, _Asked] = {}
    for setting in settings:
        if (refused := _refused(context, setting)) is not None:
            context.progress.skip(PHASE, 1)
            yield refused
            continue
        folder = _folder(context, setting, samples, calibration)
        kept = context.store.read(folder / "variant.json", Variant)
        state = _state(kept, setting, folder, context)
        if state == "damaged":
            context.progress.warn(f"the artifact of {setting.name} is damaged, so it is converted again")
        if kept is not None and state == "intact":
            context.progress.skip(PHASE, 1)
            context.progress.end(f"convert {setting.name}", "kept")
            yield ConversionResult(setting.name, kept)
        else:
            asked = _asked(context, setting)
            missing[asked.scheme] = asked
    if missing:
        yield from _convert_missing(context, model, missing, samples, calibration)


def _state(kept: Variant | None, setting: Setting, folder: Path, context: Context) -> FileState:
    """The state of the artifact in a folder; that of another setting or model, copied there, counts as damaged."""
    if kept is None:
        return "damaged" if (folder / "variant.json").is_file() else "missing"
    own = kept.name == setting.name and kept.path.is_relative_to(folder.absolute())
    return intact_variant(kept, context.registries) if own else "damaged"


def _refused(context: Context, setting: Setting) -> ConversionResult | None:
    """A failure if this setting is not made from the model, else None."""
    reason = why_not_made(setting, context.file, context.registries)
    return None if reason is None else ConversionResult(setting.name, None, Failure(reason, "conversion"))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the converter is asked for, to make a setting."""

    setting: Setting
    scheme: str
    """The setting's own, or that of the setting which was chosen for it, with a mark that keeps the two apart."""
    calibrated: bool
    float_layers: tuple[str, ...] = ()
    tuned: TunedWeights | None = None
    candidates: int | None = None
    """Number of candidates among which a search chose it."""
    single_decisions: int = 0
    """Number of artifacts that it measured besides."""


def _asked(context: Context, setting: Setting) -> _Asked:
    if not setting.tuned:
        kept = context.options.float_layers if setting.keeps_float else ()
        return _Asked(setting, setting.scheme, setting.calibrated, kept)
    decided = context.options.tuned.formats.get(setting.format) if context.options.tuned else None
    if decided is None:
        raise UsageError(f"'{setting.name}' was not decided; run 'quantlab tune', and give its file with --tuned")
    tried, single = len(decided.candidates), decided.single_decisions
    if decided.setting is None:
        return _Asked(setting, setting.scheme, False, (), decided.weights, tried, single)
    base = context.registries.settings.get(decided.setting)
    if base is None or base.format != setting.format or base.tuned or base.keeps_float:
        raise UsageError(
            f"the file of --tuned names the setting '{decided.setting}', of which no '{setting.name}' can be made; "
            f"tune again"
        )
    scheme = f"{base.scheme}{KEEPS_FLOAT} {TUNED}"
    return _Asked(setting, scheme, base.calibrated, decided.float_layers, None, tried, single)


def _folder(context: Context, setting: Setting, samples: SampleSet | None, calibration: SampleSet | None) -> Path:
    """The variant's folder, named by the hash of everything that the artifact depends on."""
    asked = _asked(context, setting)
    depends = {
        **model_identity(context),
        "versions": context.registries.converters[setting.format].versions(asked.scheme),
        "shapes": _shapes(samples),
        "calibration": calibration.sha256 if calibration and asked.calibrated else None,
        **({"scheme": asked.scheme} if asked.scheme != setting.scheme else {}),
        **({"float_layers": list(asked.float_layers)} if asked.scheme != setting.scheme or setting.keeps_float else {}),
        **({"candidates": asked.candidates} if asked.candidates else {}),
        **({"single_decisions": asked.single_decisions} if asked.single_decisions else {}),
        **({"decisions": hashlib.sha256(repr(asked.tuned).encode()).hexdigest()} if asked.tuned is not None else {}),
    }
    return context.store.variant_folder(setting.name, key_of(depends))


def _shapes(samples: SampleSet | None) -> dict[str, list[int]]:
    if samples is None:
        return {}
    return {spec.name: [int(size or 0) for size in spec.shape[1:]] for spec in samples.inputs}


def _convert_missing(
    context: Context,
    model: OpenedModel,
    missing: Mapping[str, _Asked],
    samples: SampleSet | None,
    calibration: SampleSet | None,
) -> Iterator[ConversionResult]:
    format_name = next(iter(missing.values())).setting.format
    folders = {scheme: _folder(context, one.setting, samples, calibration) for scheme, one in missing.items()}
    request = _request(context, model, missing, folders, samples, calibration)
    waiting = [f"convert {one.setting.name}" for one in missing.values()]
    context.progress.begin(waiting.pop(0))
    for converted in convert_settings(
        context.registries.converters[format_name],
        request,
        log=context.store.work / f"convert-{format_name}.log",
        pool=context.pool,
    ):
        asked = missing[converted.scheme]
        setting = asked.setting
        conversion = _kept(context, model, asked, converted, folders[converted.scheme])
        if asked.calibrated and calibration is not None and converted.end in {"died", "raised"}:
            conversion = _explained(context, model, calibration, conversion, died=converted.end == "died")
        context.progress.work(PHASE, 1)
        context.progress.end(f"convert {setting.name}", conversion.failure.reason if conversion.failure else "done")
        if waiting:
            context.progress.begin(waiting.pop(0))
        yield conversion


def _request(
    context: Context,
    model: OpenedModel,
    missing: Mapping[str, _Asked],
    folders: Mapping[str, Path],
    samples: SampleSet | None,
    calibration: SampleSet | None,
) -> ConversionRequest:
    ranged = calibration if any(one.calibrated for one in missing.values()) else None
    return ConversionRequest(
        source=model.source,
        format=model.format,
        signature=model.signature,
        schemes={scheme: folder / "artifact" for scheme, folder in folders.items()},
        sample_shapes={name: tuple(shape) for name, shape in _shapes(samples).items()},
        calibration={spec.name: ranged.input_file(spec.name) for spec in ranged.inputs} if ranged else {},
        work=context.store.work / f"convert-{next(iter(missing.values())).setting.format}",
        model=context.file.path,
        float_layers={scheme: one.float_layers for scheme, one in missing.items() if KEEPS_FLOAT in scheme},
        tuned=next((one.tuned for one in missing.values() if one.tuned is not None), None),
    )


def _explained(
    context: Context, model: OpenedModel, calibration: SampleSet, conversion: ConversionResult, *, died: bool
) -> ConversionResult:
    """A failed conversion with its real reason, if calibration samples make the model infinite inside."""
    finding = FiniteCheck(context, model).of_calibration(calibration)
    if finding is None or conversion.failure is None:
        return conversion
    reason = explained_failure(finding, conversion.failure.reason, died=died)
    return replace(conversion, failure=replace(conversion.failure, reason=reason))


def _kept(context: Context, model: OpenedModel, asked: _Asked, converted: Conversion, folder: Path) -> ConversionResult:
    """Describe a conversion and store it in its folder; a failed conversion leaves no files there."""
    format_ = context.registries.formats[asked.setting.format]
    conversion = _described(format_, model, asked, converted)
    if conversion.variant is None:
        shutil.rmtree(folder, ignore_errors=True)
        return conversion
    variant = replace(conversion.variant, convert_seconds=converted.seconds)
    context.store.write(folder / "variant.json", variant)
    return replace(conversion, variant=variant)


def _described(format_: Format, model: OpenedModel, asked: _Asked, converted: Conversion) -> ConversionResult:
    setting, reason = asked.setting, converted.reason
    if reason is None:
        path = format_.served(converted.folder)
        try:
            variant = describe_variant(setting.name, format_, path, model.description)
            notes = note_left_in_float(format_, variant) if setting.quantized else _already_quantized(model)
            own = () if setting.official or asked.candidates else (_OWN,)
            variant = replace(
                variant,
                notes=(*variant.notes, *notes, *own, *_chosen(asked)),
                candidates=asked.candidates,
                single_decisions=asked.single_decisions,
            )
            return ConversionResult(setting.name, _with_float_layers(variant, asked.float_layers))
        except QuantlabError as error:
            reason = str(error)
    reason = "; ".join([reason, *_already_quantized(model)])
    return ConversionResult(setting.name, None, Failure(reason, "conversion"))


def _chosen(asked: _Asked) -> tuple[str, ...]:
    """A note on an artifact that a search chose; else nothing."""
    if asked.candidates is None:
        return ()
    tried = counted_candidates(asked.candidates, asked.single_decisions)
    return (f"chosen by quantlab among {tried}, on other samples",)


def _with_float_layers(variant: Variant, kept: tuple[str, ...]) -> Variant:
    """The variant with the layers that its setting keeps in float."""
    if not kept:
        return variant
    return replace(variant, float_layers=kept, notes=(*variant.notes, f"kept in float: {', '.join(kept)}"))


def _already_quantized(model: OpenedModel) -> tuple[str, ...]:
    """A note on a float32 artifact, or on a failure, if the model was quantized by Keras; else nothing."""
    mode, stored = model.description.quantized, model.description.decoded_from
    if stored:
        return (f"weights decoded from {joined(stored)}",)
    return () if mode is None else (f"the model is already quantized ({mode})",)


def given_variant(context: Context, name: str, model: OpenedModel, samples: SampleSet) -> ConversionResult:
    """A variant that the user gave with `--variant NAME=FILE`, fed as `--variant-input` says."""
    options = context.options
    try:
        variant = describe_given(name, options.variants[name], model.description, context.registries.formats)
        if name in options.variant_inputs:
            refuse_few(samples, f"--variant-input {name}={RAW}")
            variant = with_raw_pixels(variant, samples, options.preprocessing)
    except QuantlabError as error:
        return ConversionResult(name, None, Failure(str(error), "conversion"))
    return ConversionResult(name, replace(variant, notes=(*variant.notes, *note_half_way(variant, samples))))


def convert(
    model: str | Path,
    *,
    out: str | Path,
    options: AnalyzeOptions | None = None,
    progress: Progress | None = None,
    registries: Registries = REAL,
) -> dict[str, Path | Failure]:
    """Convert only: write the artifacts, ready to serve, to `out/<setting>/…`.

    Args:
        model: As for `analyze`.
        out: The output folder; it must not contain folders of the settings yet.
        options: Only `settings`, `model`, `calibration`, `seed`, `limit`, `preprocessing` and `time_limit` are used;
            static quantization is calibrated on `calibration`.
        progress: Receives events.
        registries: The known formats, runtimes and converters.

    Returns:
        For each setting, its folder or the reason why it could not be converted.

    Raises:
        QuantlabError: If the model or the calibration samples cannot be opened, or an output folder exists.
    """
    options = options or AnalyzeOptions()
    _settings(options, None, registries)  # names first: they cost nothing
    file = identify(Path(model), options.model)
    settings = _settings(options, file.kind, registries)
    target = Path(out)
    for setting in settings:
        if (target / setting.name).exists():
            raise StudyError(f"'{target / setting.name}' already exists; choose another --out, or remove it")
    with _temporary_store(target) as store, store.locked(), pool_for(file, store.work, options, registries) as pool:
        context = Context(store, pool, options, progress or Silent(), file, registries)
        # Convert all before moving any: a converter reads the float32 artifact in place to make the others.
        conversions = list(_all_variants(context, settings))
        return {conversion.setting: _moved(conversion, target) for conversion in conversions}


@contextmanager
def _temporary_store(target: Path) -> Iterator[Store]:
    """A temporary store inside a folder; at the end the folder is removed, too, if it is new and empty."""
    new = not target.exists()
    store = Store(target / ".quantlab")
    try:
        yield store
    finally:
        shutil.rmtree(store.root, ignore_errors=True)
        if new and target.is_dir() and not any(target.iterdir()):
            target.rmdir()


def _settings(options: AnalyzeOptions, kind: str | None, registries: Registries) -> tuple[Setting, ...]:
    """Like `settings_for`, but without names and samples only the settings that need no samples."""
    settings = settings_for(options, kind, registries)
    if options.settings is None and options.calibration is None:
        return tuple(setting for setting in settings if not setting.calibrated)
    return settings


def _all_variants(context: Context, settings: Iterable[Setting]) -> Iterator[ConversionResult]:
    from quantlab.study.samples import calibration_alone

    model = open_model(context)
    for sentence in unusual_precision(model.description):
        context.progress.warn(sentence)
    calibration = calibration_alone(context, model) if context.options.calibration else None
    for sentence in [] if calibration is None else stretching_samples(calibration):
        context.progress.warn(sentence)
    by_format: dict[str, list[Setting]] = {}
    for setting in settings:
        by_format.setdefault(setting.format, []).append(setting)
    calibrated = False
    for members in by_format.values():
        for conversion in make_variants(context, model, members, samples=calibration, calibration=calibration):
            made = conversion.variant is not None
            calibrated |= made and context.registries.settings[conversion.setting].calibrated
            yield conversion
    if calibrated and calibration is not None:
        _warn_of_calibration(context, model, calibration)


def _warn_of_calibration(context: Context, model: OpenedModel, calibration: SampleSet) -> None:
    check = FiniteCheck(context, model)
    unsearched = check.search_calibration(calibration)
    if unsearched is not None:
        context.progress.warn(unsearched)
        return
    finding = check.of_calibration(calibration, suspect=False)
    if finding is not None:
        context.progress.warn(calibration_warning(finding))
    for sentence in told_alone(calibration, check.ranges_inside(calibration), seed=context.options.seed):
        context.progress.warn(sentence)


def _moved(conversion: ConversionResult, target: Path) -> Path | Failure:
    if conversion.variant is None:
        return conversion.failure or Failure("it was not converted", "conversion")
    source = conversion.variant.path if conversion.variant.path.is_dir() else conversion.variant.path.parent
    folder = target / conversion.setting
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(source, folder)
    return folder
