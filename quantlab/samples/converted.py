"""Samples of a source in the data types of the model."""

from collections.abc import Generator, Sequence
from dataclasses import replace

from quantlab.samples.check import model_dtype, to_model_dtype
from quantlab.samples.source import Array, Block, HeldTensor, Source
from quantlab.types import TensorSpec

__all__ = ["as_held", "converted_blocks", "written_specs"]


def converted_blocks(source: Source, indices: Array, inputs: Sequence[TensorSpec]) -> Generator[tuple[Block, Array]]:
    """Read samples of a source in blocks, as they are written, with their ascending positions in the source."""
    specs, start = written_specs(source, inputs), 0
    for block in source.read(indices):
        stop = start + len(next(iter(block.values())))
        places = indices[start:stop]
        yield (
            {spec.name: to_model_dtype(block[spec.name], spec, indices=places, text=source.text) for spec in specs},
            places,
        )
        start = stop


def as_held(source: Source, specs: Sequence[TensorSpec]) -> list[HeldTensor]:
    """The source's tensors in the data types in which they are written."""
    return [replace(held, dtype=model_dtype(spec)) for held, spec in zip(source.tensors, specs, strict=True)]


def written_specs(source: Source, inputs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """The model's inputs with the sizes of the samples and an open batch dimension."""
    return tuple(
        replace(spec, shape=(None, *held.shape[1:])) for spec, held in zip(inputs, source.tensors, strict=True)
    )
