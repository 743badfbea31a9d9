"""A user's own metric: `module:function:higher`, called as `function(outputs, labels)` in a process of its own."""

from dataclasses import dataclass

import numpy as np

from quantlab.errors import UsageError
from quantlab.statistics.paired.bootstrap import Bounds, Resampling, WholeSets
from quantlab.statistics.paired.cluster_bootstrap import bounds_of
from quantlab.statistics.scores.samples import CandidateSamples, ReferenceSamples
from quantlab.types import Direction
from quantlab.user_functions import CalledMetric

__all__ = ["CalledSets", "read_metric"]


def read_metric(text: str) -> tuple[str, Direction]:
    """Parse `module:function:higher` or `module:function:lower`: the function, and the better direction.

    Raises:
        UsageError: If the text has another form, or the module or the function cannot be loaded.
    """
    module_name, _, rest = text.partition(":")
    name, _, direction = rest.partition(":")
    if direction not in ("higher", "lower") or not module_name or not name:
        raise UsageError(
            f"the metric '{text}' does not state which direction is better; "
            f"write '{module_name or 'module'}:{name or 'function'}:higher' or "
            f"'{module_name or 'module'}:{name or 'function'}:lower'"
        )
    function = f"{module_name}:{name}"
    CalledMetric(function, UsageError).close()
    return function, "higher" if direction == "higher" else "lower"


@dataclass(frozen=True, slots=True, eq=False)
class CalledSets:
    """Two sets of outputs, and the user's function that compares them with the labels."""

    function: str
    reference: ReferenceSamples
    candidate: CandidateSamples

    def bounds(self, sign: int, resampling: Resampling) -> Bounds:
        """As those of `WholeSets`, from a process that lives as long as that takes.

        Raises:
            UsageError: If the function does anything but return one number.
        """
        labels = np.asarray(self.reference.labels)
        with CalledMetric(self.function, UsageError) as metric:
            sets = WholeSets(
                n=self.reference.n,
                reference=lambda these: metric(self.reference.outputs, labels, these),
                candidate=lambda these: metric(self.candidate.outputs, labels, these),
            )
            return bounds_of(sets, sign, resampling)
