"""`quantlab lint` on files that the libraries wrote, with planted hazards and without."""

from pathlib import Path

import pytest
from hazard_models import CLEAN, PLANTED
from kept import kept, make_in_fork

from quantlab.lint import lint

pytestmark = pytest.mark.starts_children


@pytest.fixture(scope="session")
def hazard_models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of `hazard_models.py`."""
    log = tmp_path_factory.mktemp("hazards") / "made.log"

    def make(folder: Path) -> None:
        make_in_fork("hazard_models", {"folder": str(folder)}, log, onednn=False)

    return kept(request, "hazards", ("hazard_models.py",), make)


def found_in(path: Path) -> tuple[str, ...]:
    result = lint([path])
    assert result.unread == ()
    return tuple(f"{finding.severity} {finding.hazard} {finding.where}" for finding in result.findings)


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in PLANTED])
def test_planted(name: str, hazard_models: Path) -> None:
    assert found_in(hazard_models / name) == PLANTED[name]


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in CLEAN])
def test_clean(name: str, hazard_models: Path) -> None:
    assert found_in(hazard_models / name) == ()
