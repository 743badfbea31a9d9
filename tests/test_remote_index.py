"""The index of a study at an address names files inside the study and objects by hashes, or is refused."""

import json
from pathlib import Path

import pytest

from quantlab.errors import StudyError
from quantlab.seals import sealed
from quantlab.study.remote.index import index_bytes, index_of
from quantlab.types import StoredFile, StoredStudy

_SHA256 = "0" * 64


def test_an_index_is_read_as_it_was_written():
    study = StoredStudy({"study.json": StoredFile(_SHA256, 10), "outputs/a/b.npy": StoredFile("f" * 64, 0)})
    assert index_of(index_bytes(study), "the index") == study


def written(path="study.json", sha256=_SHA256, size=10, schema=1):
    return json.dumps(sealed({"schema": schema, "files": {path: {"sha256": sha256, "bytes": size}}})).encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(written("../other"), "it names a file outside of the study", id="above the study"),
        pytest.param(written("a/../../other"), "it names a file outside of the study", id="above by a detour"),
        pytest.param(written("/etc/other"), "it names a file outside of the study", id="absolute"),
        pytest.param(written("a\\b"), "it names a file outside of the study", id="below a folder of Windows"),
        pytest.param(written(".lock"), "it names a file that is no part of a study", id="the lock"),
        pytest.param(written("work/hashes.json"), "it names a file that is no part of a study", id="a log"),
        pytest.param(written("./Work/a"), "it names a file that is no part of a study", id="a log on another system"),
        pytest.param(written("shards/a.outputs"), "it names a file that is no part of a study", id="a result"),
        pytest.param(written("outputs/a.partial/b"), "it names a file that is no part of a study", id="incomplete"),
        pytest.param(written(""), "it names a file outside of the study", id="the study itself"),
        pytest.param(written(sha256="../lock"), "it names an object by something else than a hash", id="no hash"),
        pytest.param(written(size="10"), "it names an object by something else than a hash", id="no size"),
        pytest.param(written(schema=2), "its schema is 2 and not 1", id="another schema"),
        pytest.param(written().replace(b"10", b"11"), "its hash is not that of its content", id="changed"),
        pytest.param(b"{}", "its hash is not that of its content", id="without a hash"),
    ],
)
def test_an_index_that_is_none_is_refused(content, reason):
    with pytest.raises(StudyError) as refused:
        index_of(content, Path("index.json"))
    assert str(refused.value) == (
        f"'index.json' cannot be read ({reason}); restore an older version of it, or choose another address"
    )
