"""What a worker keeps between tasks: the children of the last calls, and hashes of files that did not change."""

import os
import tempfile
from pathlib import Path

import pytest

from quantlab.processes import Preload
from quantlab.study.shards.known_hashes import known_hash
from quantlab.study.shards.pools import Pools


def test_each_call_has_a_pool_and_the_last_two_are_kept():
    pools, seen = Pools(), {}
    for call in ("a", "b", "a", "c", "a", "b"):
        with pools.of(call, 300, Preload()) as pool:
            assert pool.folder.is_dir()
            seen.setdefault(call, []).append(pool)
    assert len({id(pool) for pool in seen["a"]}) == 1
    assert len({id(pool) for pool in seen["b"]}) == 2  # the first was the last of three
    folders = [seen["a"][0].folder, seen["b"][0].folder, seen["b"][1].folder, seen["c"][0].folder]
    assert [folder.is_dir() for folder in folders] == [True, False, True, False]
    pools.close()
    assert not any(folder.is_dir() for folder in folders)


def test_a_pool_in_use_is_not_closed():
    pools = Pools()
    with pools.of("a", 300, Preload()) as first:
        for call in ("b", "c", "d"):
            with pools.of(call, 300, Preload()):
                pass
        assert first.folder.is_dir()
        with pools.of("a", 300, Preload()) as again:
            assert again is first
    pools.close()


def test_what_killed_workers_left_is_removed_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pools = Pools()
    with pools.of("a", 300, Preload()) as of_a:
        (tmp_path / "quantlab-shard-children-left" / "temporary").mkdir(parents=True)
        with pools.of("b", 300, Preload()) as of_b:
            assert {of_a.folder, of_b.folder} == set(tmp_path.iterdir())
    pools.close()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "artifact").mkdir()
    (tmp_path / "artifact" / "model.json").write_text("{}")
    os.utime(tmp_path / "artifact" / "model.json", ns=(10**18, 10**18))
    return tmp_path / "artifact"


@pytest.mark.parametrize(
    ("change", "computed"),
    [
        pytest.param(lambda _: None, 1, id="nothing"),
        pytest.param(lambda file: file.write_text("[]"), 2, id="a file of the same size"),
        pytest.param(lambda file: file.with_name("shard.bin").touch(), 2, id="one more file"),
        pytest.param(
            lambda file: (file.with_name("new").write_text("[]"), file.with_name("new").replace(file)),
            2,
            id="another file in its place",
        ),
    ],
)
def test_a_hash_is_computed_again_after_a_change(change, computed, folder):
    count = []

    def compute() -> str:
        count.append(1)
        return f"hash {len(count)}"

    assert known_hash([folder], "artifact", compute) == "hash 1"
    change(folder / "model.json")
    assert known_hash([folder], "artifact", compute) == f"hash {computed}"
    assert known_hash([folder], "another range", compute) == f"hash {computed + 1}"


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        known_hash([tmp_path / "gone.npy"], "samples", lambda: "never")
