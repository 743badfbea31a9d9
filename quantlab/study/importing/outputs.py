"""Makes a row of outputs that another program wrote for the samples of a study."""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np

from quantlab.errors import UsageError
from quantlab.formats import artifact_files
from quantlab.formats.affine import decode
from quantlab.gate.kept_scores import refuse_scores_only
from quantlab.models import files_sha256
from quantlab.names import joined, listed, nearest
from quantlab.npy import mapped
from quantlab.progress import Progress, Silent
from quantlab.registries import REAL, Registries
from quantlab.store import Store, key_of
from quantlab.study.compare import Comparison
from quantlab.study.importing.arrays import Rows, write_rows
from quantlab.study.importing.comparing import compare_imported
from quantlab.study.importing.contents import Dump
from quantlab.study.importing.dumps import read_dump
from quantlab.study.importing.layers import LayerDump, copy_sha256, keep_layers, read_layers
from quantlab.study.importing.matching import match
from quantlab.study.importing.rows import IMPORTS, imported_rows, read_imports, with_imported
from quantlab.study.outputs import compare_outputs
from quantlab.study.task import Scoring, choose_scoring
from quantlab.types import (
    REFERENCE,
    ImportedOutputs,
    Imports,
    KeptOutputs,
    OutputComparison,
    Port,
    Study,
    TensorSpec,
    Timing,
    Trial,
    Variant,
)

__all__ = ["ImportOptions", "import_outputs", "observed_outputs", "other_imports", "remove_import", "write_imports"]

_LONGEST_NAME = 40

MODEL_SHA256 = "model_sha256"
"""The fact with which a program tells the SHA-256 of the model file that it opened."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """The options of `import_outputs`."""

    setting: str
    """Name of the setting, or of the given variant, that the program ran."""
    runtime: str
    """Name of the program in the table: letters, digits, dots, dashes and underscores."""
    samples: str | None = None
    """SHA-256 of the samples, at least 12 digits, for a file that does not hold it."""
    trust_order: bool = False
    """Whether to take a file that does not say from which samples it was made."""
    layers: Path | None = None
    """Tensors inside the variant, which the program wrote: a `.npz` file or a folder; None if there are none."""


def import_outputs(
    study: str | Path,
    outputs: str | Path,
    options: ImportOptions,
    *,
    progress: Progress | None = None,
    registries: Registries = REAL,
) -> Study:
    """Add a row to a study from outputs that an app, a device or a server wrote.

    Outputs are scored like those of a runtime. `analyze` keeps the row as long as samples and artifact are the same.
    An earlier row of the same setting and name is replaced.

    Args:
        study: Folder of the study.
        outputs: A `.npz`, `.npy` or `.jsonl` file, such as the dumpers of `quantlab export inputs` write.
        options: Setting, name, layers, and how samples are matched.
        progress: Receives a warning if layers could not be compared.
        registries: The known formats, runtimes and converters.

    Returns:
        The study as stored, with the new row.

    Raises:
        UsageError: If the study has no such setting, the name is that of a runtime or invalid, or nothing says from
            which samples the outputs were made.
        SamplesError: If the outputs cannot be read, were made from other samples or in another order, or do not have
            the shape of the model's.
        StudyError: If the study is missing, damaged, or being analyzed.
    """
    store, path = Store(Path(study)), Path(outputs)
    store.refuse_running()
    _refuse_name(options.runtime, registries)
    _variant(store.read_study(), options.setting)
    with store.locked():
        record = store.read_study()  # again: an analysis may have ended before the lock
        refuse_scores_only(record, "'quantlab import'")
        variant = _variant(record, options.setting)
        dump = read_dump(path, observed_outputs(record), record.samples.n)
        matching = match(dump, record.samples, variant, path, sha256=options.samples, trust_order=options.trust_order)
        _refuse_other_model(dump.environment, variant, path, known=None)
        layers = _layers(store, record, variant, options, registries)
        kept, notes = _kept(store, dump, options, variant=variant, study=record)
        new = ImportedOutputs(
            setting=options.setting,
            runtime=options.runtime,
            source=str(outputs),
            matching=matching,
            samples_sha256=record.samples.sha256,
            variant_sha256=variant.sha256,
            kept=kept,
            notes=notes,
            layers=None if layers is None else keep_layers(layers, _folder_of(kept) / "layers"),
        )
        write_imports(
            store, record, Imports((*other_imports(store, options.setting, options.runtime), new)), registries
        )
        row, told = (options.setting, options.runtime), progress or Silent()
        failed = compare_imported(store, store.read_study(), row, observed_outputs(record), registries, told)
    if failed is not None:
        told.warn(failed)
    return store.read_study()


def _layers(
    store: Store, study: Study, variant: Variant, options: ImportOptions, registries: Registries
) -> LayerDump | None:
    """The tensors inside the variant, checked."""
    if options.layers is None:
        return None
    inside, format_ = store.read_inside(), registries.formats[variant.format]
    dump = read_layers(options.layers, study, inside, variant, format_, trust_order=options.trust_order)
    _refuse_other_model(dump.environment, variant, options.layers, known=lambda: copy_sha256(variant, format_))
    return dump


def _folder_of(kept: KeptOutputs) -> Path:
    return next(iter(kept.files.values())).parent


def remove_import(study: str | Path, setting: str, runtime: str, *, registries: Registries = REAL) -> Study:
    """Remove a row that was imported, or measured on a device, and its outputs.

    Args:
        study: Folder of the study.
        setting: Setting or given variant of the row.
        runtime: Name that the program has in the table.
        registries: The known formats, runtimes and converters.

    Returns:
        The study as stored, without the row.

    Raises:
        UsageError: If no such row was imported.
        StudyError: If the study is missing, damaged, or being analyzed.
    """
    store = Store(Path(study))
    store.refuse_running()
    store.read_study()
    with store.locked():
        others = other_imports(store, setting, runtime)
        names = [f"{row.setting} in {row.runtime}" for row in read_imports(store).rows]
        if len(others) == len(names):
            known = nearest(f"{setting} in {runtime}", names) if names else "nothing was imported into this study"
            raise UsageError(f"no outputs of '{setting}' in '{runtime}' were imported; {known}")
        record = store.read_study()
        write_imports(store, record, Imports(tuple(others)), registries)
        compare_imported(store, store.read_study(), (setting, runtime), observed_outputs(record), registries, Silent())
        shutil.rmtree(store.root / "inside" / setting / runtime, ignore_errors=True)
        shutil.rmtree(store.output_folder(setting, runtime, "x").parent, ignore_errors=True)
    return store.read_study()


def other_imports(store: Store, setting: str, runtime: str) -> list[ImportedOutputs]:
    """All imported outputs but those of one row."""
    return [row for row in read_imports(store).rows if (row.setting, row.runtime) != (setting, runtime)]


def write_imports(store: Store, study: Study, imports: Imports, registries: Registries) -> None:
    """Write the study with the rows of these imports, and the imports."""
    done, figures = _with_rows(store, study, imports, registries)
    store.write(store.root / IMPORTS, imports)
    store.write_outputs(figures)
    store.write_study(done)


def _refuse_name(name: str, registries: Registries) -> None:
    if name in registries.runtimes:
        raise UsageError(f"'{name}' is a runtime of quantlab; give the program another name, for example 'my-{name}'")
    plain = name.replace("-", "").replace("_", "").replace(".", "")
    if not (plain.isascii() and plain.isalnum()) or name[0] in ".-" or len(name) > _LONGEST_NAME:
        raise UsageError(
            f"--runtime '{name[:80]}' cannot name a row; use at most {_LONGEST_NAME} letters, digits, dots, dashes and "
            f"underscores"
        )


def _variant(study: Study, setting: str) -> Variant:
    """The artifact of a setting in the study."""
    made = {trial.setting: trial.variant for trial in study.trials if trial.variant is not None}
    variant = made.get(setting)
    if variant is None:
        failed = any(trial.setting == setting for trial in study.trials)
        why = "could not be converted" if failed else nearest(setting, made)
        asked = "the reference is the model itself" if setting == REFERENCE else why
        raise UsageError(f"the study has no artifact of the setting '{setting}'; {asked}")
    return variant


def _refuse_other_model(
    environment: Mapping[str, str], variant: Variant, path: Path, *, known: Callable[[], str | None] | None
) -> None:
    """Refuse outputs of a program that says it opened another file than one of the artifact, or than the known copy."""
    opened = environment.get(MODEL_SHA256)
    files = artifact_files(variant.path).files
    if opened is not None and opened not in files.values() and (known is None or opened != known()):
        raise UsageError(
            f"'{path}' was made with a model file of the SHA-256 {opened[:12]}, which is none of the artifact of "
            f"{variant.name} ({', '.join(one[:12] for one in files.values())}); name the setting that the program ran"
        )


def observed_outputs(study: Study) -> list[TensorSpec]:
    """The outputs of the model, with the shapes and data types that were observed."""
    observed = {name: mapped(file) for name, file in study.reference.outputs.items()}
    return [
        TensorSpec(spec.name, (None, *observed[spec.name].shape[1:]), observed[spec.name].dtype.name)
        for spec in study.model.outputs
        if spec.name in observed
    ]


def _kept(
    store: Store, dump: Dump, options: ImportOptions, *, variant: Variant, study: Study
) -> tuple[KeptOutputs, tuple[str, ...]]:
    """Write the outputs into the study, and say what was done to them and which are missing."""
    specs = {spec.name: spec for spec in observed_outputs(study)}
    if study.scored_output not in dump.outputs:
        raise UsageError(
            f"the outputs lack '{study.scored_output}', which the study scores, and hold {listed([*dump.outputs])}; "
            f"write the scored output, too"
        )
    ports = {port.name: port for port in variant.outputs}
    digest = {name: _digest(values) for name, values in dump.outputs.items()}
    key = key_of({"imported": digest, "samples": study.samples.sha256, "artifact": variant.sha256})
    folder = store.output_folder(options.setting, options.runtime, key)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files, decoded, taken = {}, [], []
    for name, values in dump.outputs.items():
        files[name] = folder / f"{quote(name, safe='')}.npy"
        port = ports.get(name)
        if _holds_codes(values, specs[name], port):
            decoded.append(name)
        elif values.dtype.kind in "iu" and np.dtype(specs[name].dtype).kind == "f":
            taken.append(name)
        _write(files[name], values, specs[name], port)
    kept = KeptOutputs(
        files=files,
        ran_on=options.runtime,
        environment=dump.environment,
        timing=Timing(0, 0.0),
        sha256={name: files_sha256(path) for name, path in files.items()},
    )
    store.write(folder / "outputs.json", kept)
    missing = [name for name in specs if name not in files]
    return kept, (*_decoded_words(decoded), *_taken_words(taken), *_missing_words(missing))


def _decoded_words(names: list[str]) -> list[str]:
    return [f"codes of {joined(names)} decoded with the scale of the artifact"] if names else []


def _taken_words(names: list[str]) -> list[str]:
    return [f"integers of {joined(names)} taken as values, because the artifact gives no codes"] if names else []


def _missing_words(names: list[str]) -> list[str]:
    return [f"without {joined(names)}"] if names else []


def _digest(values: Rows) -> str:
    digest = hashlib.sha256(json.dumps([values.dtype.str, values.shape]).encode())
    for block in values.blocks():
        digest.update(np.ascontiguousarray(block).tobytes())
    return digest.hexdigest()


def _holds_codes(values: Rows, spec: TensorSpec, port: Port | None) -> bool:
    coded = port is not None and port.codes is not None
    return coded and values.dtype.kind in "iu" and np.dtype(spec.dtype).kind == "f"


def _write(file: Path, values: Rows, spec: TensorSpec, port: Port | None) -> None:
    """Write values in the data type of the model's output; codes are decoded as the runtimes do."""
    codes = port.codes if port is not None and _holds_codes(values, spec, port) else None
    write_rows(file, values.decoded(np.dtype(spec.dtype), lambda block: decode(block, codes)), spec.dtype)


def _with_rows(store: Store, study: Study, imports: Imports, registries: Registries) -> tuple[Study, OutputComparison]:
    """The study with its imported rows, and the figures of all its outputs."""
    scoring = _scoring(study, registries)
    reference = KeptOutputs(study.reference.outputs, study.reference.runtime, {}, Timing(0, 0.0))
    comparison = Comparison.open(scoring, reference, study.non_finite)
    own = [trial for trial in study.trials if not trial.imported]
    rows = imported_rows(imports, comparison, own, study.samples)
    with_python = comparison.with_python([*(trial for trial in own if trial.in_python), *rows.trials])
    imported = [trial for trial in with_python if trial.imported]
    compared = compare_outputs(reference.files, imported, study.scored_output, comparison.finite)
    figures = _figures(store.read_outputs(), study.trials, compared.comparison)
    kept = [text for text in study.warnings if not text.startswith(_beginnings(study.trials))]
    warnings = tuple(dict.fromkeys([*kept, *compared.warnings, *rows.warnings]))
    return replace(study, trials=with_imported(own, compared.trials), warnings=warnings), figures


def _scoring(study: Study, registries: Registries) -> Scoring:
    """How the study scores."""
    metric = "similarity" if study.task == "similarity" else study.metric or "auto"
    return choose_scoring(study.model, study.samples, metric, study.scored_output, metrics=registries.metrics)


def _beginnings(trials: tuple[Trial, ...]) -> tuple[str, ...]:
    """How warnings about rows that were imported before begin."""
    return tuple(f"{trial.setting} in {trial.runtime}: " for trial in trials if trial.imported)


def _figures(known: OutputComparison, trials: tuple[Trial, ...], new: OutputComparison) -> OutputComparison:
    """The figures of the runtimes' rows, and then those of the imported ones."""
    before = {(trial.setting, trial.runtime) for trial in trials if trial.imported}
    own = [row for row in known.rows if (row.setting, row.runtime) not in before]
    return replace(known, rows=(*own, *new.rows), reasons=tuple(dict.fromkeys((*known.reasons, *new.reasons))))
