"""The search itself, for any list of releases."""

from collections.abc import Callable, Sequence

from packaging.version import InvalidVersion, Version

from quantlab.errors import UsageError
from quantlab.names import nearest
from quantlab.types.bisecting import TriedRelease

__all__ = ["Found", "releases_between", "search"]

Found = tuple[str, str, tuple[str, ...]]
"""Last good release, first bad one, and those between them that could not be tried."""


def releases_between(versions: Sequence[str], good: str, bad: str, package: str) -> list[str]:
    """The releases from one end to the other, in the order of their versions; the good end first.

    Pre-releases are left out, unless they are an end.

    Raises:
        UsageError: If an end does not exist, or both are the same.

    >>> releases_between(["1.10", "1.9", "2.0rc1", "1.11"], "1.9", "1.11", "x")
    ['1.9', '1.10', '1.11']
    """
    known: dict[str, Version] = {}
    for text in versions:
        try:
            known[text] = Version(text)
        except InvalidVersion:
            continue
    for end in (good, bad):
        if end not in known:
            raise UsageError(f"there is no release {end} of {package}; {nearest(end, known)}")
    if good == bad:
        raise UsageError(f"--good and --bad are both {good}; name two releases")
    low, high = sorted((known[good], known[bad]))
    ordered = sorted(
        (
            text
            for text, version in known.items()
            if low <= version <= high and (not version.is_prerelease or text in {good, bad})
        ),
        key=known.__getitem__,
    )
    return ordered if known[good] < known[bad] else ordered[::-1]


def search(releases: Sequence[str], attempt: Callable[[str], TriedRelease]) -> tuple[Found, list[TriedRelease]]:
    """Find where good releases end, in as few attempts as bisection takes.

    If a release is skipped, the nearest one to the middle that was not tried is taken.

    Args:
        releases: The good end, those between, the bad end.
        attempt: Function from a version to the outcome.

    Returns:
        What was found, and all attempts in their order.
    """
    tried: dict[int, TriedRelease] = {}
    low, high = 0, len(releases) - 1
    while True:
        middle = (low + high) / 2
        left = [place for place in range(low + 1, high) if place not in tried]
        if not left:
            break
        place = min(left, key=lambda one: abs(one - middle))
        tried[place] = attempt(releases[place])
        if tried[place].outcome == "good":
            low = place
        elif tried[place].outcome == "bad":
            high = place
    found = (releases[low], releases[high], tuple(releases[low + 1 : high]))
    return found, list(tried.values())
