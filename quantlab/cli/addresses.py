"""Studies at addresses, for commands that take them where folders stand."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from quantlab.names import address_of

__all__ = ["brought", "here", "judged_places"]


def here(place: Path) -> Path:
    """The folder of a study on this machine; nothing is fetched."""
    if address_of(place) is None:
        return place
    from quantlab.study.remote import folder_of

    return folder_of(place)


def brought(place: Path) -> Path:
    """The folder of a study that is read; that of an address is fetched first.

    Raises:
        QuantlabError: See `quantlab.study.remote.read_place`.
    """
    if address_of(place) is None:
        return place
    from quantlab.cli.progress import shown
    from quantlab.study.remote import read_place

    with shown() as progress:
        return read_place(place, progress)


@contextmanager
def judged_places(places: Sequence[Path]) -> Iterator[Sequence[Path]]:
    """The folders of studies that are judged, whose records of judgements are stored when the block ends well.

    Raises:
        QuantlabError: If one cannot be fetched or stored, or an analysis works on it.
    """
    if all(address_of(place) is None for place in places):
        yield places
        return
    from quantlab.cli.progress import shown
    from quantlab.study.remote import judged_place

    with ExitStack() as held, shown() as progress:
        yield [held.enter_context(judged_place(place, progress)) for place in places]
