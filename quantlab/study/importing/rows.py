"""The rows of imported outputs, and of devices, scored like those of the runtimes of this machine."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from quantlab.intact import intact_files, intact_outputs
from quantlab.names import joined
from quantlab.store import Store
from quantlab.study.compare import Comparison
from quantlab.study.trial import scored_row
from quantlab.types import Failure, ImportedLayers, ImportedOutputs, Imports, SampleSet, Trial, Variant

__all__ = ["IMPORTS", "ImportedRows", "imported_layers", "imported_rows", "read_imports", "with_imported"]

IMPORTS = "imported.json"
"""The file of a study with all outputs that were imported."""

_MATCHED = {
    "checksums": "the checksum of each sample",
    "hash": "the hash of all samples; their order is that of the file",
    "order": "--trust-order alone",
}
"""How outputs were matched, in words; those of a device, which quantlab fed, were not."""


@dataclass(frozen=True, slots=True)
class ImportedRows:
    """The imported rows of a table."""

    trials: tuple[Trial, ...] = ()
    warnings: tuple[str, ...] = ()
    """About outputs that do not belong to this table any more."""


def read_imports(store: Store) -> Imports:
    """All outputs that were imported into a study; none if the record cannot be read."""
    return store.read(store.root / IMPORTS, Imports) or Imports()


def imported_rows(
    imports: Imports, comparison: Comparison, trials: Sequence[Trial], samples: SampleSet
) -> ImportedRows:
    """Score the imported outputs that belong to a table.

    Args:
        imports: The outputs that were imported.
        comparison: The reference's scored output.
        trials: The rows of the runtimes.
        samples: The samples of the table.

    Returns:
        A row for each that was made from these samples and from an artifact of the table; a failure, if its files are
        missing or damaged. Those of settings that the table lacks are left out in silence.
    """
    made = {trial.setting: trial.variant for trial in trials if trial.variant is not None}
    rows, outdated = [], []
    for one in imports.rows:
        variant = made.get(one.setting)
        if variant is None:
            continue
        if one.samples_sha256 != samples.sha256 or one.variant_sha256 != variant.sha256:
            outdated.append((one, "samples" if one.samples_sha256 != samples.sha256 else "artifact"))
            continue
        rows.append(_row(one, variant, comparison))
    return ImportedRows(tuple(rows), tuple(_outdated_words(outdated)))


def imported_layers(
    imports: Imports, trials: Sequence[Trial], samples: SampleSet
) -> dict[tuple[str, str], ImportedLayers]:
    """Setting and name of each imported row of a table → its layers, if they are of these layer samples and intact."""
    rows = {(trial.setting, trial.runtime) for trial in trials if trial.imported and trial.failure is None}
    return {
        (one.setting, one.runtime): one.layers
        for one in imports.rows
        if one.layers is not None
        and (one.setting, one.runtime) in rows
        and one.layers.samples_sha256 == samples.sha256
        and intact_files(one.layers.files, one.layers.sha256) == "intact"
    }


def _row(one: ImportedOutputs, variant: Variant, comparison: Comparison) -> Trial:
    row = Trial(
        setting=one.setting,
        runtime=one.runtime,
        variant=variant,
        imported=True,
        failure=one.failure,
        device=one.source if one.matching == "fed" else "",
        notes=(*variant.notes, *_notes(one)),
    )
    if one.kept is None:
        return row
    row = replace(
        row,
        ran_on=one.kept.ran_on,
        environment=one.kept.environment,
        timing=one.kept.timing if one.timed else None,
        repeated=one.kept.repeated,
    )
    state = intact_outputs(one.kept)
    if state in {"missing", "damaged"}:
        again = "run it there again" if one.matching == "fed" else f"import '{one.source}' again"
        return replace(row, failure=Failure(f"its imported outputs are {state}; {again}", "scoring"))
    return scored_row(replace(row, outputs=one.kept.files), comparison)


def _notes(one: ImportedOutputs) -> tuple[str, ...]:
    if one.matching == "fed":
        return one.notes
    return (f"imported from '{one.source}', matched by {_MATCHED[one.matching]}", *one.notes)


def _outdated_words(outdated: Iterable[tuple[ImportedOutputs, str]]) -> Iterable[str]:
    for what in ("samples", "artifact"):
        names = [f"{one.setting} in {one.runtime}" for one, why in outdated if why == what]
        if names:
            yield (
                f"the imported outputs of {joined(names)} are left out, because they were made "
                f"{'from other samples' if what == 'samples' else 'with another artifact'}; run the program again and "
                f"import its outputs, or run the device again"
            )


def with_imported(trials: Sequence[Trial], imported: Sequence[Trial]) -> tuple[Trial, ...]:
    """The rows of the runtimes, and after those of each setting its imported ones; earlier imported ones go."""
    own = [trial for trial in trials if not trial.imported]
    last = {trial.setting: place for place, trial in enumerate(own)}
    rows: list[Trial] = []
    for place, trial in enumerate(own):
        rows.append(trial)
        if last[trial.setting] == place:
            rows += [one for one in imported if one.setting == trial.setting]
    return tuple(rows)
