"""Delivery data of artifacts: Brotli size and minimum runtime, stored by the artifact's hash.

Brotli compresses 0.4 MB/s. Small artifacts are compressed during the next conversion. Large ones would hold up the
table, so they are compressed after everything else, and the table can be printed before.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from quantlab.errors import QuantlabError
from quantlab.formats import download_size_of
from quantlab.progress import Progress, Silent
from quantlab.registries import REAL, Registries
from quantlab.store import Store, key_of
from quantlab.study.context import Context, read_kept
from quantlab.study.conversions import ConversionResult
from quantlab.types import DownloadSize, Study, Trial, Variant

__all__ = ["complete_sizes", "measure_sizes", "with_download_size"]

_LARGE_BYTES = 500_000
"""Size from which compression takes more than a second."""

_AT_ONCE = 2
"""Number of artifacts that are compressed at the same time; other threads can run meanwhile."""


def with_download_size(context: Context, conversion: ConversionResult) -> ConversionResult:
    """The variant with its minimum runtime version and its Brotli size, which a large artifact lacks unless it is kept.

    A failed conversion is returned unchanged.
    """
    variant = conversion.variant
    if variant is None:
        return conversion
    record = _record(context.store, variant)
    size = read_kept(context, record, DownloadSize, f"{variant.name} is compressed again")
    format_ = context.registries.formats[variant.format]
    if size is None and variant.size_bytes >= _LARGE_BYTES:
        return replace(conversion, variant=replace(variant, minimum_runtime=format_.minimum_runtime(variant.path)))
    size = size or _measured(context.store, variant, context.registries)
    return replace(conversion, variant=_with_size(variant, size))


def measure_sizes(
    folder: str | Path, *, progress: Progress | None = None, registries: Registries = REAL
) -> tuple[Variant, ...]:
    """Measure the Brotli sizes that `analyze` left out with `download_sizes=False`, and complete the study's record.

    Args:
        folder: The study.
        progress: Receives events; nothing is printed.
        registries: All formats.

    Returns:
        The variants whose sizes were measured, in the order of the table.

    Raises:
        StudyError: If there is no study, or another process writes it.
    """
    store = Store(Path(folder))
    if not any(map(_lacks_size, store.read_study().trials)):
        return ()
    with store.locked():
        return complete_sizes(store, progress or Silent(), registries)


def complete_sizes(store: Store, progress: Progress, registries: Registries) -> tuple[Variant, ...]:
    """The same, for a caller that holds the lock of the study."""
    study = store.read_study()
    lacking = list({trial.setting: trial.variant for trial in study.trials if _lacks_size(trial)}.values())
    sizes = dict[str, DownloadSize]()

    def measure(variant: Variant) -> None:
        step = f"compress {variant.name}"
        progress.begin(step)
        try:
            sizes[variant.sha256] = _measured(store, variant, registries)
        except QuantlabError as error:
            progress.end(step, str(error))
        else:
            progress.end(step, "done")

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="quantlab-compress") as pool:
        list(pool.map(measure, [variant for variant in lacking if variant is not None]))
    completed = _with_sizes(study, sizes)
    store.write_study(completed)
    return _measured_variants(completed.trials, sizes)


def _lacks_size(trial: Trial) -> bool:
    return trial.variant is not None and trial.variant.brotli_bytes is None


def _with_sizes(study: Study, sizes: dict[str, DownloadSize]) -> Study:
    trials = tuple(
        replace(trial, variant=_with_size(trial.variant, sizes[trial.variant.sha256]))
        if trial.variant is not None and trial.variant.sha256 in sizes
        else trial
        for trial in study.trials
    )
    return replace(study, trials=trials)


def _measured_variants(trials: Sequence[Trial], sizes: dict[str, DownloadSize]) -> tuple[Variant, ...]:
    by_name = {trial.setting: trial.variant for trial in trials}
    return tuple(variant for variant in by_name.values() if variant is not None and variant.sha256 in sizes)


def _record(store: Store, variant: Variant) -> Path:
    return store.root / "transfer" / f"{key_of({'artifact': variant.sha256})}.json"


def _measured(store: Store, variant: Variant, registries: Registries) -> DownloadSize:
    """Compress an artifact, unless its size is kept; it is stored at once, so that a later call goes on from here."""
    record = _record(store, variant)
    if (kept := store.read(record, DownloadSize)) is not None:
        return kept
    size = download_size_of(variant, registries.formats[variant.format])
    store.write(record, size)
    return size


def _with_size(variant: Variant, size: DownloadSize) -> Variant:
    return replace(variant, brotli_bytes=size.brotli_bytes, minimum_runtime=size.minimum_runtime)
