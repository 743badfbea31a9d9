"""Slow-to-compute delivery data: Brotli size and minimum runtime. Computed during the next conversion, and stored."""

from dataclasses import replace

from quantlab.formats import download_size_of
from quantlab.store import key_of
from quantlab.study.context import Context, read_kept
from quantlab.study.conversions import ConversionResult
from quantlab.types import DownloadSize

__all__ = ["with_download_size"]

_SLOW_BYTES = 1_000_000  # above this size compression takes seconds, so progress is shown


def with_download_size(context: Context, conversion: ConversionResult) -> ConversionResult:
    """The variant with its Brotli size and minimum runtime version; a failed conversion is returned unchanged."""
    variant = conversion.variant
    if variant is None:
        return conversion
    record = context.store.root / "transfer" / f"{key_of({'artifact': variant.sha256})}.json"
    size = read_kept(context, record, DownloadSize, f"{variant.name} is compressed again")
    if size is None:
        step = f"compress {variant.name}"
        if variant.size_bytes >= _SLOW_BYTES:
            context.progress.begin(step)
        size = download_size_of(variant, context.registries.formats[variant.format])
        context.store.write(record, size)
        if variant.size_bytes >= _SLOW_BYTES:
            context.progress.end(step, "done")
    variant = replace(variant, brotli_bytes=size.brotli_bytes, minimum_runtime=size.minimum_runtime)
    return replace(conversion, variant=variant)
