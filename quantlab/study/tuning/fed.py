"""The samples of a search as they are fed: those that were drawn, or what an app's pipeline makes of their photos."""

import time
from dataclasses import dataclass

from quantlab.errors import UsageError
from quantlab.samples import SampleParts
from quantlab.study.context import Context
from quantlab.study.pipelines.feeding import fed_samples, the_pipeline
from quantlab.types import ModelDescription, SampleSet

__all__ = ["SearchSamples"]


@dataclass(frozen=True, slots=True)
class SearchSamples:
    """The samples of a search."""

    fed: SampleSet
    """What candidates are fed."""
    declared: SampleSet | None
    """What the reference is fed, if an app's pipeline made the others; None if they are the same."""
    seconds: float
    """Time for the samples of the verdict, which are no part of the search."""

    @classmethod
    def of(cls, context: Context, data: str, model: ModelDescription, parts: SampleParts) -> "SearchSamples":
        """Feed the pipeline all photos that are scored, too: one that it cannot read is told before the search.

        Raises:
            UsageError: If the samples have no part for the search.
            SamplesError: If the pipeline gives no tensor for a photo.
        """
        if parts.search is None:
            raise UsageError("the samples have no part for the search")
        pipeline = the_pipeline(context.options.pipeline, context.registries.pipelines, data)
        if pipeline is None:
            return cls(parts.search, None, 0.0)
        began = time.monotonic()
        fed_samples(context, pipeline, parts.scored, model)
        seconds = time.monotonic() - began
        return cls(fed_samples(context, pipeline, parts.search, model), parts.search, seconds)
