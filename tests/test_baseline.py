"""`gate --baseline`: a study compared with the accepted figures of another branch, or of a file."""

import subprocess

import numpy as np
import pytest
from command_line import quantlab_in_process
from verdict_fixtures import answers, flipped, write_study

N = 2000


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S607


def write(folder, lost):
    labels = np.arange(N) % 10
    candidates = {("tfjs-uint8", "python"): answers(labels, flipped(N, list(range(lost))))}
    write_study(folder, labels, answers(labels), candidates)


@pytest.fixture
def project(tmp_path):
    """A repository whose main branch accepted a study, and in which another branch has a worse one."""
    write(tmp_path / "digits.study", 4)
    git(tmp_path, "init", "--initial-branch=main")
    accepted = quantlab_in_process("accept", "digits.study", "--max-accuracy-loss", "2pt", cwd=tmp_path)
    assert accepted.status == 0, accepted.stderr
    git(tmp_path, "add", "quantlab.lock")
    git(tmp_path, "commit", "-m", "accept")
    return tmp_path


def gate(folder, *arguments, study="digits.study"):
    return quantlab_in_process("gate", study, "--max-accuracy-loss", "2pt", *arguments, cwd=folder)


@pytest.mark.parametrize("baseline", ["main", "HEAD", "quantlab.lock"])
def test_the_accepted_figures_of_a_branch_or_a_file(baseline, project):
    assert gate(project, "--baseline", baseline).status == 0


def test_a_branch_that_loses_more_than_was_accepted(project):
    git(project, "checkout", "-b", "worse")
    write(project / "new" / "digits.study", 36)
    done = gate(project, "--baseline", "main", study="new/digits.study")
    assert done.status == 1
    assert "accepted" in done.stdout
    by_file = gate(project, "--lock", "quantlab.lock", study="new/digits.study")
    assert (by_file.status, by_file.stdout) == (done.status, done.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(
            ["--baseline", "nowhere"],
            "--baseline is 'nowhere', which is neither a file nor a revision of git here; name a file of 'quantlab ",
            id="no revision",
        ),
        pytest.param(
            ["--baseline=--all"], "--baseline is '--all', which is neither a file nor a revision", id="an option"
        ),
        pytest.param(
            ["--baseline", "main", "--lock", "quantlab.lock"],
            "--lock and --baseline both name accepted figures; give one of them",
            id="both",
        ),
    ],
)
def test_baselines_that_cannot_be(arguments, message, project):
    done = gate(project, *arguments)
    assert (done.status, message in done.stderr) == (2, True), done.stderr


def test_a_revision_without_accepted_figures_and_one_with_damaged_ones(project):
    git(project, "rm", "quantlab.lock")
    git(project, "commit", "-m", "remove")
    done = gate(project, "--baseline", "HEAD")
    assert (done.status, "the revision 'HEAD' has no 'quantlab.lock' in this folder" in done.stderr) == (2, True)
    (project / "quantlab.lock").write_text("{")
    git(project, "add", "quantlab.lock")
    git(project, "commit", "-m", "damage")
    done = gate(project, "--baseline", "main")
    assert done.status == 2
    assert "the accepted figures 'quantlab.lock of main' cannot be read" in done.stderr


def test_a_folder_without_git(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    write(folder / "digits.study", 4)
    done = gate(folder, "--baseline", "main")
    assert (done.status, "which is neither a file nor a revision of git here" in done.stderr) == (2, True)
    assert project.is_dir()
