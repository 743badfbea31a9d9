"""How likely labels are by the scores of their classes, apart from confidence, and whether other scores fit better."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from quantlab.statistics.blocks import blocks
from quantlab.statistics.scores.classification import as_classes

__all__ = ["LabelLikelihoods", "p_of_likelier"]

Floats = NDArray[np.float64]

_POWERS = (np.arange(-6, 17), np.arange(-16, 17) / 16, np.arange(-8, 9) / 128)
"""Powers of 2 that are tried for β, times the mean distance of the largest score of a row from its mean: a grid, and
two finer ones around the best. Where every label has the largest score of its row, the likelihood grows without end,
and the largest β is as good as any."""

_HALVINGS = 24
"""How often the interval of ε is halved."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelLikelihoods:
    """How likely each label is by the scores of its sample, with (1 − ε)·softmax(β·z) + ε / classes.

    z are the scores of the classes, or the logarithms of their probabilities. β > 0, the inverse of a temperature, and
    ε from 0 to 1, a share of random labels, are those under which the labels are likeliest (temperature scaling: Guo et
    al. 2017, ICML, PMLR 70:1321–1330; label noise: Bootkrajang & Kabán 2012, ECML PKDD, LNCS 7523:143–158). So outputs
    that are only more or less confident in the same answers give the same likelihoods, and a few wrong labels, of which
    the outputs are sure, do not decide.
    """

    scores: Floats
    """(n, classes): z."""
    labels: NDArray[np.int64]
    """(n,): any integers."""
    logarithms: Floats
    """(n,): of the likelihoods, in nats. A row that is not finite, and a label that has no column, tell nothing: there,
    each class is as likely as another."""

    @classmethod
    def of(cls, outputs: NDArray[Any], labels: NDArray[np.int64], *, probabilities: bool) -> Self:
        """Fit β and ε to labels, (n,).

        Args:
            outputs: (n, classes), or (n, 1) or (n,) of a binary classifier.
            labels: (n,) integers; any integer is allowed.
            probabilities: Whether rows hold probabilities; other scores are taken as logits.
        """
        scores = _scores(outputs, probabilities=probabilities)
        return cls(scores, labels, _log_likelihoods(scores, labels))

    @property
    def log_loss(self) -> float:
        """Mean of the negative logarithms."""
        return -float(self.logarithms.mean())


def p_of_likelier(before: LabelLikelihoods, after: LabelLikelihoods) -> float:
    """One-sided p-value that the labels are no likelier after a change than before it; 1 if they are not.

    It is the larger of two p-values about the differences d of the log-likelihoods, so both tests must reject:

    - √n · mean(d) / sd(d) in Student's distribution of n − 1 degrees of freedom (Vuong 1989, Econometrica 57:307–333).
      β and ε are fitted before and after the change, so confidence alone is no gain, and neither is a small gain of
      most samples that costs others more.
    - Wilcoxon's signed-rank test of d (1945, Biometrics Bulletin 1:80–83) with one β and ε for both. They do not depend
      on what is before and what is after, so if the two outputs of any sample might as well be exchanged, every d has
      either sign with probability 1/2, whatever the distribution of the outputs.

    Args:
        before: Of n samples.
        after: Of the same samples, with other scores or other labels.
    """
    from scipy.special import ndtr, stdtr  # imported here because SciPy is slow to import and few commands need it

    apart = after.logarithms - before.logarithms
    n = len(apart)
    if n < 2 or apart.mean() <= 0:
        return 1.0
    deviation = float(apart.std(ddof=1))
    of_mean = float(stdtr(n - 1, -np.sqrt(n) * float(apart.mean()) / deviation)) if deviation > 0 else 0.0
    both = _log_likelihoods(
        np.concatenate([before.scores, after.scores]), np.concatenate([before.labels, after.labels])
    )
    return max(of_mean, float(ndtr(-_signed_ranks(both[n:] - both[:n]))))


def _signed_ranks(apart: Floats) -> float:
    """The normal deviate of Wilcoxon's test: (Σ sign(d)·r − 1) / √Σ r², with the ranks r of |d|; 0 if all d are 0.

    Σ r² is the variance of the sum over all signs, also with ties, which share the mean of their ranks. The sum changes
    in steps of 2, half of which is the correction for continuity.
    """
    apart = apart[apart != 0]
    if not len(apart):
        return 0.0
    _, places, counts = np.unique(np.abs(apart), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return float((np.sum(np.sign(apart) * ranks) - 1) / np.sqrt(np.sum(ranks**2)))


def _log_likelihoods(scores: Floats, labels: NDArray[np.int64]) -> Floats:
    n, classes = scores.shape
    likelihoods = np.full(n, -np.log(classes))
    telling = (labels >= 0) & (labels < classes) & np.isfinite(scores).all(axis=1)
    if telling.any():
        likelihoods[telling] = _fitted(scores[telling], labels[telling])
    return likelihoods


def _scores(outputs: NDArray[Any], *, probabilities: bool) -> Floats:
    """(n, classes): logits, of which only the differences in a row count."""
    columns = as_classes(outputs, probabilities=probabilities)
    if not probabilities:
        return columns.astype(np.float64)
    # What rounds to 0 has a logarithm all the same: of the smallest number of the type, or, where a class has what the
    # other leaves, of half the last bit of 1.
    known = np.finfo(outputs.dtype if outputs.dtype.kind == "f" else np.float64)
    least = known.tiny if columns is outputs else known.epsneg / 2
    return np.asarray(np.log(np.maximum(columns.astype(np.float64), float(least))))


def _fitted(scores: Floats, labels: NDArray[np.int64]) -> Floats:
    """The log-likelihoods at the β and ε of the largest sum, which may have several peaks in β: grids find it."""
    spread = float((scores.max(axis=1) - scores.mean(axis=1)).mean())
    if spread == 0:
        return np.full(len(scores), -np.log(scores.shape[1]))
    best, power = None, 0.0
    for steps in _POWERS:
        powers = power + steps
        of_labels = np.stack([_of_labels(scores, labels, 2.0**one / spread) for one in powers])
        likelihoods = _with_noise(of_labels, scores.shape[1])
        place = int(likelihoods.sum(axis=1).argmax())
        best, power = likelihoods[place], float(powers[place])
    return np.asarray(best)


def _of_labels(scores: Floats, labels: NDArray[np.int64], sharpness: float) -> Floats:
    """softmax(β·z) of the label of each row, (n,)."""
    parts = []
    for rows in blocks(scores):
        weights = np.exp(sharpness * (scores[rows] - scores[rows].max(axis=1, keepdims=True)))
        parts.append(weights[np.arange(len(weights)), labels[rows]] / weights.sum(axis=1))
    return np.concatenate(parts)


def _with_noise(probabilities: Floats, classes: int) -> Floats:
    """log((1 − ε)·p + ε / classes), (k, n), at the ε of the largest sum of each row, which is concave in ε."""
    apart = 1 / classes - probabilities
    low, high = np.zeros((len(probabilities), 1)), np.ones((len(probabilities), 1))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        grows = (apart / (probabilities + middle * apart)).sum(axis=1, keepdims=True) > 0
        low, high = np.where(grows, middle, low), np.where(grows, high, middle)
    # Above 0, since a label of probability 0 would be impossible without noise.
    return np.asarray(np.log(probabilities + high * apart))
