"""Reading bytes that come from outside: whatever goes wrong is one sentence that names the file and the way out.

Libraries raise anything on a malformed file, from `ValueError` to `RecursionError`, and some of it only on files that
somebody has made for that. A reader that expects certain exceptions misses the next one, so all are taken here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quantlab.errors import QuantlabError

__all__ = ["reading"]

_QUOTED = 1000
"""Most characters of a file's name in a message."""


@contextmanager
def reading(subject: str | Path, error: type[QuantlabError], remedy: str) -> Iterator[None]:
    """Turn whatever is raised inside into an error of ours; errors of ours pass as they are.

    Args:
        subject: The file, or words for what cannot be read, as `the labels in 'y.csv'`.
        error: What is raised instead.
        remedy: What to do, as the end of the sentence: `copy or save it again`.

    Raises:
        error: With the file, what the library said, and the remedy.

    >>> from quantlab.errors import SamplesError
    >>> with reading(Path("x.npy"), SamplesError, "save it again"):
    ...     raise ValueError("bad magic string")
    Traceback (most recent call last):
    quantlab.errors.SamplesError: 'x.npy' cannot be read (bad magic string); save it again

    A damaged record may name a file with an endless name, of which the beginning is quoted:

    >>> with reading(Path("x" * 5000), SamplesError, "save it again"):
    ...     raise OSError("File name too long")
    Traceback (most recent call last):
    quantlab.errors.SamplesError: 'xxx...xxx… cannot be read (File name too long); save it again
    """
    what = f"'{subject}'" if isinstance(subject, Path) else subject
    if len(what) > _QUOTED:
        what = f"{what[:_QUOTED]}…"
    try:
        yield
    except QuantlabError:
        raise
    except RecursionError as problem:
        raise error(f"{what} cannot be read (it is nested too deeply); {remedy}") from problem
    except MemoryError as problem:
        raise error(f"{what} cannot be read (it asks for more memory than there is); {remedy}") from problem
    except Exception as problem:
        said = " ".join(str(problem).split())[:200] or type(problem).__name__
        raise error(f"{what} cannot be read ({said}); {remedy}") from problem
