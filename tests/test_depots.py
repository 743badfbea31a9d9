"""Depots: one of all who try creates a file, whatever the store answers; nothing is half there, and nothing secret."""

import fcntl
import hashlib
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from command_line import PATIENCE
from store_servers import ACCESS_KEY, SECRET_KEY, s3_environment, serving_s3

from quantlab.errors import StudyError, UsageError
from quantlab.study.depot import FolderDepot, Pace
from quantlab.study.depot import cache as cache_module
from quantlab.study.depot.cache import Cache
from quantlab.study.depot.objects import DamagedObject, ObjectDepot
from quantlab.study.depot.patience import Patience
from quantlab.study.shards.claims import claimed

_ADDRESS = "s3://bucket/study"


@pytest.fixture
def s3(monkeypatch):
    with serving_s3() as stand_in:
        for name, value in s3_environment(stand_in).items():
            monkeypatch.setenv(name, value)
        yield stand_in


class _ThreeTimes(Patience):
    """Four attempts, at once."""

    def before(self):
        return iter((0.0, 0.0, 0.0))


def depot(**more):
    return ObjectDepot.at(_ADDRESS, patience=_ThreeTimes(), **more)


@pytest.fixture(params=["folder", "objects"])
def any_depot(request, tmp_path):
    if request.param == "folder":
        return FolderDepot(tmp_path)
    request.getfixturevalue("s3")
    return depot()


def refused(call, error=StudyError):
    with pytest.raises(error) as refusal:
        call()
    message = str(refusal.value)
    assert ACCESS_KEY not in message
    assert SECRET_KEY not in message
    return message


def test_a_file_is_created_once_touched_and_removed(any_depot):
    assert any_depot.create("key.claim-a-1", b'{"owner": 1}')
    assert not any_depot.create("key.claim-a-1", b'{"owner": 2}')
    assert any_depot.read("key.claim-a-1") == b'{"owner": 1}'
    before = any_depot.state("key.claim-a-1")
    assert any_depot.state("key.claim-a-1") == before
    any_depot.touch("key.claim-a-1")
    assert any_depot.state("key.claim-a-1") != before
    assert any_depot.create("key.claim-a-2", b"")
    assert any_depot.create("other.claim-a-1", b"")
    assert sorted(any_depot.names("key.claim-")) == ["key.claim-a-1", "key.claim-a-2"]
    any_depot.remove("key.claim-a-1")
    any_depot.remove("key.claim-a-1")
    assert any_depot.names("key.claim-") == ["key.claim-a-2"]
    with pytest.raises(FileNotFoundError):
        any_depot.read("key.claim-a-1")
    with pytest.raises(FileNotFoundError):
        any_depot.state("key.claim-a-1")


def test_nothing_is_listed_where_nothing_is(any_depot):
    assert any_depot.names("key") == []


def test_one_of_many_threads_creates_a_file(any_depot):
    start = threading.Barrier(12)

    def attempt(number):
        start.wait()
        return any_depot.create("claim", f"{number}".encode())

    with ThreadPoolExecutor(12) as pool:
        created = list(pool.map(attempt, range(12)))
    assert sum(created) == 1
    assert any_depot.read("claim") == f"{created.index(True)}".encode()


def test_a_file_whose_answer_was_lost_is_that_of_its_creator(s3):
    s3.lost = ["claim"]
    assert depot().create("claim", b"mine")
    s3.lost = ["taken"]
    assert depot().create("taken", b"mine")
    assert not depot().create("taken", b"another's")


def test_a_store_without_conditional_writes_is_refused(s3):
    s3.conditional = False
    assert refused(lambda: depot().create("claim", b"mine")).startswith(
        f"the store of '{_ADDRESS}' overwrites an object though it is asked to create it only (S3's If-None-Match)"
    )
    assert s3.files == {}


class _AwayAfterOne:
    """A file system that is away from its second writing on, until something is removed."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def pipe_file(self, path: str, content: bytes, **_: object) -> None:
        if self.files:
            raise TimeoutError
        self.files[path] = content

    def rm_file(self, path: str, **_: object) -> None:
        del self.files[path]


def test_a_file_is_not_left_behind_if_it_cannot_be_told_whether_it_is_the_callers_alone():
    files = _AwayAfterOne()
    held = ObjectDepot(_ADDRESS, files, "", patience=_ThreeTimes())
    assert "was not reached" in refused(lambda: held.create("claim", b"mine"))
    assert files.files == {}


def test_an_object_is_put_once_and_read_whole(s3, tmp_path):
    (tmp_path / "file").write_bytes(content := b"0123456789" * 1000)
    sha256 = hashlib.sha256(content).hexdigest()
    assert depot().put_object(sha256, tmp_path / "file")
    assert not depot().put_object(sha256, tmp_path / "file")
    depot().get_object(sha256, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    depot().get_range(f"objects/{sha256}", 5, 25, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == content[5:25]
    assert depot().size("objects/none") is None
    assert sum(line.startswith("PUT") for line in s3.asked) == 1


@pytest.mark.parametrize("content", [None, b"", b"0123456788"], ids=["missing", "truncated", "of other bytes"])
def test_an_object_that_is_not_whole_is_never_taken(content, s3, tmp_path):
    sha256 = hashlib.sha256(b"0123456789").hexdigest()
    if content is not None:
        s3.files[f"bucket/study/objects/{sha256}"] = content
    with pytest.raises(DamagedObject):
        depot().get_object(sha256, tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_throttles_for_a_while(s3):
    s3.failures = [503, 503, 503]
    assert depot().create("claim", b"")


def test_a_store_that_is_away_is_asked_a_few_times_and_then_once(s3):
    s3.away, held = True, depot()
    assert refused(lambda: held.read("claim")).startswith(f"'{_ADDRESS}/claim' was not reached in 4 attempts (")
    message = refused(lambda: held.within("shards").create("claim", b""))
    assert message.startswith(f"'{_ADDRESS}/shards/claim' was not reached in 1 attempt (")
    assert message.endswith("the store is busy or away, so run the same command again later, which goes on from here")
    s3.away, s3.failures = False, [503]
    refused(lambda: held.create("claim", b""))
    assert held.create("claim", b"")
    s3.failures = [503, 503]
    assert held.create("another", b"")


def test_a_store_that_is_away_is_told_of_once_and_again_after_it_answered(s3):
    held, told = depot(), []
    held.tell = told.append
    s3.failures = [503, 503]
    assert held.create("one", b"")
    assert told == []  # a store that is busy now and then is no news
    for name in ("two", "three"):
        s3.failures = [503, 503, 503]
        assert held.within("shards").create(name, b"")
    assert told == [f"'{_ADDRESS}/shards' is busy or away (SlowDown); it is asked again for up to 120 s"] * 2
    s3.away = True
    refused(lambda: held.read("claim"))
    refused(lambda: held.read("claim"))
    assert len(told) == 3


def test_a_listing_that_fails_names_the_address_and_no_beginning_of_names(s3):
    s3.away = True
    message = refused(lambda: depot().names("lock-"))
    assert message.startswith(f"'{_ADDRESS}' was not reached in 4 attempts (")


def test_an_outage_in_which_signs_of_life_fail_is_waited_for(s3):
    held = ObjectDepot.at(_ADDRESS, pace=Pace(0.02, 60, 0.02), patience=Patience(pauses=(0.05,), seconds=60))
    with claimed(held, "task", call="call", done=lambda: False) as mine:
        assert mine
        s3.away, before = True, len(s3.asked)
        while sum(line.startswith("PUT") for line in s3.asked[before:]) < 3:  # each comes after one that failed
            time.sleep(0.02)
        threading.Timer(0.3, lambda: setattr(s3, "away", False)).start()
        held.put_bytes("result", b"of the task")
    assert s3.files == {"bucket/study/result": b"of the task"}


def test_patience_has_an_end():
    assert list(Patience(pauses=(0.5, 1.0), seconds=0.0).before()) == []
    pauses = Patience(pauses=(1.0,), seconds=100.0).before()
    assert all(0.75 <= next(pauses) <= 1.25 for _ in range(20))


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        pytest.param("AWS_ACCESS_KEY_ID", "AKIAWRONG", "InvalidAccessKeyId", id="wrong"),
        pytest.param("AWS_PROFILE", "nobody", "ProfileNotFound", id="no such profile"),
    ],
)
@pytest.mark.usefixtures("s3")
def test_credentials_that_do_not_hold(name, value, code, monkeypatch):
    monkeypatch.setenv(name, value)
    assert refused(lambda: depot().create("claim", b"")) == (
        f"'{_ADDRESS}' may not be used with the credentials of this environment ({code}); set AWS_PROFILE, or "
        f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for a public bucket set FSSPEC_S3_ANON=true"
    )


def test_a_bucket_that_is_missing(s3):
    s3.bucket = "other"
    assert refused(lambda: depot().create("claim", b"")) == (
        f"'{_ADDRESS}/claim' cannot be written (NoSuchBucket); check that its bucket exists, and create it if need be"
    )


@pytest.mark.usefixtures("s3")
def test_the_address_of_a_server_without_its_beginning(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:9000")
    assert refused(lambda: depot().create("claim", b"")) == (
        f"the store refuses '{_ADDRESS}/claim' (ValueError); check the address, and that of AWS_ENDPOINT_URL"
    )


@pytest.mark.parametrize(
    ("address", "message"),
    [
        pytest.param("s3://bucket", "'s3://bucket' names no place in a bucket; write s3://BUCKET/NAME", id="a bucket"),
        pytest.param("s3://", "'s3://' names no place in a bucket; write s3://BUCKET/NAME", id="nothing"),
        pytest.param(
            "https://host/study",
            "a study cannot lie at 'https://host/study', only in a folder or at s3://BUCKET/NAME; choose one of them",
            id="a web server",
        ),
        pytest.param(
            f"s3://{ACCESS_KEY}:{SECRET_KEY}@bucket/study",
            "the address 's3://…@bucket/study' holds a name or a password; credentials are taken from the environment "
            "only",
            id="a password",
        ),
        pytest.param(
            f"s3://{ACCESS_KEY}:a/{SECRET_KEY}@bucket/study",
            "the address 's3://…@bucket/study' holds a name or a password; credentials are taken from the environment "
            "only",
            id="a password with a slash",
        ),
    ],
)
def test_addresses_where_no_study_can_lie(address, message):
    assert refused(lambda: ObjectDepot.at(address), UsageError) == message


def taken(_: Path) -> bool:
    """Entries are taken for whole."""
    return True


def test_an_entry_of_the_cache_is_filled_once_by_many(tmp_path):
    cache, filled = Cache(tmp_path / "cache"), []

    def fill(folder: Path) -> None:
        filled.append(folder)
        (folder / "file").write_bytes(b"content")

    def use(_):
        with cache.entry("hash", fill, taken) as folder:
            return (folder / "file").read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(use, range(8))) == [b"content"] * 8
    assert len(filled) == 1


def test_the_cache_keeps_what_was_used_last_and_what_is_in_use(tmp_path):
    cache = Cache(tmp_path, most_bytes=25)

    def fill(folder: Path) -> None:
        (folder / "file").write_bytes(bytes(10))

    with cache.entry("first", fill, taken) as first:
        for name in ("second", "third", "fourth", "fifth"):
            with cache.entry(name, fill, taken):
                pass
        assert first.is_dir()
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"first", "fourth", "fifth"}


def test_an_entry_that_could_not_be_filled_is_not_there(tmp_path):
    cache = Cache(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "file").touch()
        raise StudyError("away")

    with pytest.raises(StudyError), cache.entry("hash", fail, taken):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["hash.lock"]


def test_an_entry_is_used_by_several_at_the_same_time(tmp_path):
    cache, both = Cache(tmp_path), threading.Barrier(2, timeout=PATIENCE)

    def use(_):
        with cache.entry("hash", Path.is_dir, taken):
            both.wait()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(use, range(2)))


def test_who_has_seen_that_an_entry_is_missing_does_not_wait_for_its_first_user(tmp_path, monkeypatch):
    cache, locked = Cache(tmp_path), cache_module._locked
    missed, used, shared = threading.Event(), threading.Event(), threading.Event()

    def late(lock, how):
        if how & fcntl.LOCK_EX and threading.current_thread() is second:
            missed.set()
            assert used.wait(PATIENCE)
        return locked(lock, how)

    def use_too():
        with cache.entry("hash", Path.is_dir, taken):
            shared.set()

    monkeypatch.setattr(cache_module, "_locked", late)
    second = threading.Thread(target=use_too)
    second.start()
    assert missed.wait(PATIENCE)
    with cache.entry("hash", Path.is_dir, taken):
        used.set()
        assert shared.wait(PATIENCE)
    second.join()


@pytest.mark.parametrize("damage", [lambda file: file.write_bytes(b"other"), Path.unlink], ids=["changed", "lost"])
def test_an_entry_that_is_not_whole_any_more_is_filled_again(damage, tmp_path):
    cache = Cache(tmp_path)

    def fill(folder: Path) -> None:
        (folder / "file").write_bytes(b"content")

    def whole(folder: Path) -> bool:
        return (folder / "file").read_bytes() == b"content"

    with cache.entry("hash", fill, whole) as folder:
        damage(folder / "file")
    with cache.entry("hash", fill, whole) as folder:
        assert (folder / "file").read_bytes() == b"content"
    with pytest.raises(OSError, match="not there as it was written"), cache.entry("none", fill, lambda _: False):
        pass


def test_a_kill_while_room_is_made_leaves_no_half_of_an_entry(tmp_path, monkeypatch):
    cache = Cache(tmp_path, most_bytes=0)

    def fill(folder: Path) -> None:
        (folder / "one").write_bytes(bytes(10))
        (folder / "two").write_bytes(bytes(10))

    def half(folder, **_):
        if any(Path(folder).iterdir()):
            (Path(folder) / "one").unlink()
            raise KeyboardInterrupt

    with cache.entry("first", fill, taken):
        pass
    with monkeypatch.context() as killed:
        killed.setattr(shutil, "rmtree", half)
        with pytest.raises(KeyboardInterrupt), cache.entry("second", fill, taken):
            pass
    with cache.entry("first", fill, taken) as folder:
        assert {file.name for file in folder.iterdir()} == {"one", "two"}
