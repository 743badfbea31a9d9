"""Refuses a search whose verdict could not be given, before anything is converted."""

import time
from dataclasses import replace

from quantlab.gate import refuse_unjudgeable
from quantlab.samples import SampleParts
from quantlab.study.analysis import Analysis
from quantlab.study.context import Context
from quantlab.study.plan import make_plan
from quantlab.study.tuning.acceptance import refuse_unguided
from quantlab.types import PYTHON, Budget, OpenedModel, SampleSet

__all__ = ["on_search_samples", "refuse_early"]


def on_search_samples(budget: Budget) -> Budget:
    """The budget as it is judged on the search samples, in Python.

    Whether the model is better than guessing is left to the samples of the verdict: those of the search may be too few
    to tell.
    """
    return replace(budget, runtimes=(PYTHON,), allow_poor_reference=True)


def refuse_early(context: Context, data: str, model: OpenedModel, parts: SampleParts, budget: Budget) -> float:
    """Run the reference on the samples of the verdict and of the search, and check that the budget can be judged.

    Its outputs are kept, so the table and the search do not run it again.

    Args:
        context: The context of the study, for Python alone.
        data: The samples, as the user named them.
        model: The opened model.
        parts: The samples.
        budget: The limits.

    Returns:
        Seconds for the samples of the verdict, which are no part of the search.

    Raises:
        QuantlabError: If the model or samples are invalid, or no verdict can be given, see `refuse_unjudgeable`.
    """
    began = time.monotonic()
    plan = make_plan(context.options, context.file.kind, context.registries).of_reference

    def refuse(samples: SampleSet, limits: Budget) -> None:
        analysis = Analysis(context, data, plan)
        study = analysis.score(analysis.begin(model, samples, None)).study
        refuse_unjudgeable(replace(study, search=parts.search), limits, registries=context.registries)
        refuse_unguided(limits, study.scored_output)

    refuse(parts.scored, budget)
    seconds = time.monotonic() - began
    if parts.search is not None:
        refuse(parts.search, on_search_samples(budget))
    return seconds
