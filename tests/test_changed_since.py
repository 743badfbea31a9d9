"""`quantlab batch --changed-since`: which files changed, as git tells it."""

import subprocess
from pathlib import Path

import pytest

from quantlab.cli.git import changes_since
from quantlab.errors import UsageError


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, in which paths are relative."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def repository(here):  # noqa: ARG001 (the current folder)
    """A repository in the current folder, and a function that commits all files."""

    def git(*arguments):
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
        subprocess.run(["git", *who, *arguments], check=True, capture_output=True)  # noqa: S607 (any git)

    def commit():
        git("add", "--all")
        git("commit", "--quiet", "--message", "x", "--allow-empty")

    git("init", "--quiet")
    commit()
    return commit


def touched(*names):
    return [name for name in names if changes_since("HEAD").touch([Path(name)])]


def test_what_changed_since_a_revision(here, repository):
    (here / "saved").mkdir()
    for name in ("a.keras", "b.keras", "saved/weights", "gone.npz"):
        (here / name).write_text("first")
    repository()
    assert touched("a.keras", "b.keras", "saved", "gone.npz", "new file.npz") == []
    (here / "a.keras").write_text("second")
    (here / "saved" / "weights").write_text("second")
    (here / "gone.npz").unlink()
    (here / "new file.npz").write_text("first")
    assert touched("a.keras", "b.keras", "saved", "gone.npz", "new file.npz") == [
        "a.keras",
        "saved",
        "gone.npz",
        "new file.npz",
    ]


def test_files_that_git_does_not_see(here, repository):
    (here / ".gitignore").write_text("*.npz\n")
    for name in ("a.keras", "data.npz"):
        (here / name).write_text("first")
    repository()
    files = [Path("a.keras"), Path("data.npz"), here.parent]
    assert changes_since("HEAD").unseen(files[:2]) == [Path("data.npz")]


@pytest.mark.parametrize("revision", ["nothing", "--output=x", ""])
def test_a_revision_that_is_none(here, repository, revision):  # noqa: ARG001 (makes the repository)
    with pytest.raises(UsageError) as raised:
        changes_since(revision)
    assert str(raised.value) == (
        f"--changed-since names '{revision}', and the repository '{here}' has no such revision; name a commit, a "
        f"branch or a tag, and fetch it if the clone is shallow"
    )


def test_no_repository(here, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(here.parent))
    with pytest.raises(UsageError) as raised:
        changes_since("HEAD")
    assert str(raised.value) == (
        "--changed-since compares with a git repository, and git says: fatal: not a git repository (or any of the "
        "parent directories): .git; run the command inside a clone, or leave the option out"
    )


@pytest.mark.usefixtures("here")
def test_no_git(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageError) as raised:
        changes_since("HEAD")
    assert str(raised.value) == (
        "--changed-since needs the program git, which cannot be run (No such file or directory); install git, or leave "
        "the option out"
    )
