"""The layer comparison of a study: the content of `inside.json`."""

from dataclasses import dataclass

from quantlab.types.layers import LayerRow, OpRow, Source, SplitRow, WeightRow
from quantlab.types.samples import SampleSet

__all__ = ["Inside"]


@dataclass(frozen=True, slots=True)
class Inside:
    """Layer comparison of a study; the content of `inside.json`."""

    layers: tuple[LayerRow, ...]
    weights: tuple[WeightRow, ...]
    ops: tuple[OpRow, ...]
    split: tuple[SplitRow, ...]
    samples: int
    """Number of samples used to compare layers; the split uses all scored samples."""
    drawn: str
    """How these samples were selected, in words."""
    sources: tuple[Source, ...] = ()
    """For each quantized variant that was compared, the op that causes most of its error."""
    quantized_before: tuple[str, ...] = ()
    """A sentence for each float32 artifact whose weights an earlier quantization rounded."""
    notes: tuple[str, ...] = ()
    """Remarks, for example: outputs of a tapped run differ from the untapped run, or a variant could not be tapped."""
    layer_samples: SampleSet | None = None
    """The samples on which layers were compared; None in records of an older quantlab."""
    indices: tuple[int, ...] = ()
    """Their places among the scored samples, ascending; empty in records of an older quantlab."""
    schema: int = 1
    """Version of the file's layout."""
