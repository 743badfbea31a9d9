"""Samples at addresses: the same as from files, few attempts, one sentence, and no secret in any of it."""

import io
from pathlib import Path

import numpy as np
import pytest
from record_files import DIGIT, WRITERS, digits
from store_servers import ACCESS_KEY, SECRET_KEY, StandIn, serving

from quantlab.errors import SamplesError, UsageError
from quantlab.samples import Cut, SampleOptions, open_samples, open_source, refuse_missing
from quantlab.samples.addresses import parts_of, store_of
from quantlab.types import Preprocessing, Shard

pytest.importorskip("aiohttp", reason="needs aiohttp, of the extra 'https'")

NO_PAUSES = (0.0, 0.0, 0.0)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def web():
    with serving(StandIn()) as stand_in:
        yield stand_in


@pytest.fixture
def s3(monkeypatch):
    """A stand-in for S3, and an environment that holds its credentials."""
    pytest.importorskip("s3fs", reason="needs s3fs, of the extra 's3'")
    with serving(StandIn(s3=True)) as stand_in:
        monkeypatch.setenv("AWS_ENDPOINT_URL", stand_in.address)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        yield stand_in


def opened(data, **options):
    samples, _ = open_samples(
        data, None, model_inputs=(DIGIT,), folder=Path("study"), options=SampleOptions(**options), calibrate=0
    )
    return samples


def expected(limit=None):
    x, y = digits()
    np.savez("digits.npz", x=x, y=y)
    return opened("digits.npz", limit=limit).sha256


def shards(suffix):
    """Name → content of three shards of the digits."""
    x, y = digits()
    held = {}
    for shard, (begin, end) in enumerate(((0, 20), (20, 25), (25, 60))):
        path = Path(f"shard{suffix}")
        WRITERS[suffix](path, x[begin:end], y[begin:end])
        held[f"{shard}{suffix}"] = path.read_bytes()
    return held


def test_a_file_that_is_copied_as_a_whole_keeps_all_samples(web):
    expected()
    web.files["x/digits.npz"] = Path("digits.npz").read_bytes()
    address = f"{web.address}/x/digits.npz"
    with pytest.raises(UsageError) as refusal:
        opened(address, cut=Cut(lambda n: [Shard(0, n)], 4))
    assert str(refusal.value) == (
        f"'{address}' is one file that is copied as a whole, so --keep-samples few saves nothing; leave it out, or "
        f"give files of records"
    )


def refused(call, error=SamplesError):
    with pytest.raises(error) as refusal:
        call()
    message = str(refusal.value)
    assert ACCESS_KEY not in message
    assert SECRET_KEY not in message
    return message


@pytest.mark.parametrize("limit", [None, 14])
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_web_server(suffix, limit, web):
    web.files = shards(suffix)
    assert opened(f"{web.address}/{{0..2}}{suffix}", limit=limit).sha256 == expected(limit)


@pytest.mark.parametrize("limit", [None, 14])
def test_a_bucket(limit, s3):
    s3.files = {f"bucket/train/{name}": content for name, content in shards(".tar").items()}
    s3.files["bucket/train/readme.txt"] = b"words"
    assert opened("s3://bucket/train/*.tar", limit=limit).sha256 == expected(limit)
    assert not [asked for asked in s3.asked if "readme" in asked]


def arrays(suffix):
    """The digits as the content of a `.npz` or `.npy` file."""
    x, y = digits()
    buffer = io.BytesIO()
    if suffix == ".npz":
        np.savez(buffer, x=x, y=y)
    else:
        np.save(buffer, x)
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_arrays_are_copied_while_they_are_read(suffix, web):
    web.files, web.failures = {f"digits{suffix}": arrays(suffix)}, [503]
    np.save("y.npy", digits()[1])
    samples = opened(f"{web.address}/digits{suffix}", limit=14, labels="y.npy" if suffix == ".npy" else None)
    assert samples.sha256 == expected(14)
    assert samples.source == f"{web.address}/digits{suffix}"
    assert [path.name for path in Path("study").iterdir()] == ["data"]


def test_groups_are_an_array_of_a_file_at_an_address(web):
    x, y = digits()
    buffer = io.BytesIO()
    np.savez(buffer, x=x, y=y, patient=np.arange(60) // 5)
    web.files = {"digits.npz": buffer.getvalue()}
    samples = opened(f"{web.address}/digits.npz", group="patient")
    assert (samples.group_key, samples.groups) == ("patient", 12)
    assert refused(lambda: opened(f"{web.address}/digits.npz", group="patients"), UsageError) == (
        f"'{web.address}/digits.npz' has no array 'patients' for --group; did you mean 'patient'?"
    )


def test_arrays_in_a_bucket_are_calibration_samples(s3):
    s3.files = {"bucket/x.npz": arrays(".npz")}
    np.savez("other.npz", x=digits()[0] + 1.0, y=digits()[1])
    _, calibration = open_samples(
        "other.npz", "s3://bucket/x.npz", model_inputs=(DIGIT,), folder=Path("study"), options=SampleOptions()
    )
    np.testing.assert_array_equal(np.load(calibration.input_file("image")), digits()[0])


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        pytest.param(
            "absent.npz",
            {},
            SamplesError,
            "there is nothing at '{address}/absent.npz' (status 404); check the address",
            id="nothing there",
        ),
        pytest.param(
            "short.npz",
            {},
            SamplesError,
            "'{address}/short.npz' cannot be read (File is not a zip file); it is truncated or does not hold plain "
            "arrays, so write it again with numpy.savez",
            id="truncated",
        ),
        pytest.param(
            "x.npz?signature=hidden",
            {},
            UsageError,
            "'{address}/x.npz?…' has a query, which may be a signature, and records hold what --data names; copy the "
            "file to this machine",
            id="signed",
        ),
        pytest.param(
            "x.npz",
            {"preprocessing": Preprocessing(scale=0.5)},
            UsageError,
            "preprocessing is declared, but '{address}/x.npz' holds no images, and numbers are not preprocessed; leave "
            "the options out, and [preprocessing] of quantlab.toml",
            id="preprocessing",
        ),
    ],
)
def test_arrays_that_are_refused(name, options, error, message, web):
    web.files = {"short.npz": arrays(".npz")[:-100], "x.npz": arrays(".npz")}
    assert refused(lambda: opened(f"{web.address}/{name}", **options), error) == message.format(address=web.address)
    assert [path.name for path in Path("study").glob("*")] == []


def test_addresses_and_files_in_one_description(s3, web):
    (first, a), (second, b), (third, c) = shards(".csv").items()
    web.files, s3.files = {first: a}, {f"bucket/{second}": b}
    Path(third).write_bytes(c)
    Path("data.toml").write_text(f'files = ["{web.address}/{first}?token=hidden", "s3://bucket/{second}", "{third}"]')
    samples = opened("data.toml")
    assert samples.sha256 == expected()
    assert [asked.partition("?")[2] for asked in web.asked] == ["token=hidden"] * len(web.asked)
    records = b"".join(path.read_bytes() for path in Path("study").rglob("*") if path.is_file())
    for secret in ("hidden", ACCESS_KEY, SECRET_KEY):
        assert secret.encode() not in records
        assert secret not in repr(samples)


def test_files_that_differ_in_the_query_of_their_address(web):
    web.files = {f"download?id={place}": content for place, content in enumerate(shards(".csv").values())}
    named = [f"{web.address}/download?id={place}" for place in range(3)]
    Path("data.toml").write_text(f'files = {named}\nformat = "csv"')
    assert opened("data.toml").sha256 == expected()
    Path("data.toml").write_text(f'files = {[*named, named[1]]}\nformat = "csv"')
    assert refused(lambda: opened("data.toml")) == (
        f"'{web.address}/download' is named twice, so that every sample would count twice; name it once"
    )
    web.files["download?id=2"] = web.files["download?id=0"]
    Path("data.toml").write_text(f'files = {named}\nformat = "csv"')
    assert refused(lambda: opened("data.toml")).startswith(
        f"'{web.address}/download' and '{web.address}/download' hold the same bytes, so that every sample would count"
    )


def test_only_parts_that_hold_chosen_samples_are_read_twice(web):
    web.files = {"x.csv": b"a,b,c,label\n" + b"".join(b"%d,1,2,0\n" % number for number in range(200_000))}
    source = open_source(f"{web.address}/x.csv", inputs=(_flower(),), options=SampleOptions())
    web.asked.clear()
    (block,) = source.read(np.array([199_999]))
    np.testing.assert_array_equal(block["flower"], [[199_999, 1, 2]])
    # The size, the header, and the block with the row.
    assert len(web.asked) == 3


def _flower():
    from quantlab.types import TensorSpec

    return TensorSpec("flower", (None, 3), "float32")


def test_a_file_that_changes_on_its_server_is_refused(web):
    (name, content), *_ = shards(".csv").items()
    web.files = {name: content}
    source = open_source(f"{web.address}/{name}", inputs=(DIGIT,), options=SampleOptions())
    web.files[name] = content.replace(b"0", b"1")
    assert refused(lambda: list(source.read(np.arange(20)))) == (
        f"'{web.address}/{name}' changed while it was read, but every runtime must be fed the same samples; run the "
        f"command again when nothing writes to it"
    )


def test_a_server_that_is_busy_for_a_while(web):
    web.files, web.failures = {"x.csv": b"content"}, [503, 429]
    (shard,) = store_of(web.address, pauses=NO_PAUSES).shards(f"{web.address}/x.csv")
    assert shard.open().read() == b"content"


def test_a_bucket_that_throttles_for_a_while(s3):
    s3.files, s3.failures = {"bucket/x.csv": b"content"}, [503, 503, 503]
    (shard,) = store_of("s3://bucket/x.csv", pauses=NO_PAUSES).shards("s3://bucket/x.csv")
    assert shard.open().read() == b"content"


BUSY = "its server is busy or cannot be reached, so run the command again later"


def test_a_bucket_that_throttles_is_asked_four_times(s3):
    s3.files, s3.failures = {"bucket/x.csv": b"content"}, [503] * 50
    (shard,) = store_of("s3://bucket/x.csv", pauses=NO_PAUSES).shards("s3://bucket/x.csv")
    assert refused(lambda: shard.read(0, 7)) == (
        f"'s3://bucket/x.csv' could not be read in 4 attempts (SlowDown); {BUSY}"
    )
    assert len(s3.asked) == 4


def test_a_server_that_is_busy_is_asked_four_times(web):
    web.failures = [503] * 50
    (shard,) = store_of(web.address, pauses=NO_PAUSES).shards(f"{web.address}/x.csv")
    assert refused(lambda: shard.read(0, 7)) == (
        f"'{web.address}/x.csv' could not be read in 4 attempts (status 503); {BUSY}"
    )
    assert len(web.asked) == 4


def test_a_server_that_is_not_there(web):
    address = web.address.rpartition(":")[0] + ":1/x.csv"
    (shard,) = store_of(address, pauses=NO_PAUSES).shards(address)
    assert refused(lambda: shard.read(0, 7)) == (
        f"'{address}' could not be read in 4 attempts (ConnectionRefusedError); {BUSY}"
    )


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        pytest.param("AWS_ACCESS_KEY_ID", "AKIAWRONG", "status 403", id="wrong"),
        pytest.param("AWS_PROFILE", "nobody", "ProfileNotFound", id="no such profile"),
    ],
)
def test_credentials_that_do_not_hold(name, value, code, s3, monkeypatch):
    s3.files = {"bucket/x.csv": b"a,label\n1,0\n"}
    monkeypatch.setenv(name, value)
    assert refused(lambda: opened("s3://bucket/x.csv")) == (
        f"'s3://bucket/x.csv' may not be read with the credentials of this environment ({code}); set AWS_PROFILE, or "
        f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; for a public bucket set FSSPEC_S3_ANON=true"
    )
    assert len(s3.asked) <= 1


@pytest.mark.usefixtures("s3")
def test_credentials_that_may_not_list(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONG")
    assert refused(lambda: opened("s3://bucket/*.csv")).startswith(
        "'s3://bucket/*.csv' may not be read with the credentials of this environment (InvalidAccessKeyId); "
    )


@pytest.mark.usefixtures("s3")
def test_a_key_that_is_missing():
    assert refused(lambda: opened("s3://bucket/x.csv")) == (
        "there is nothing at 's3://bucket/x.csv' (not found); check the address"
    )


def test_a_glob_that_matches_nothing(s3):
    s3.files = {"bucket/x.tar": b""}
    assert refused(lambda: opened("s3://bucket/*.csv")) == "nothing matches 's3://bucket/*.csv'; check the address"


def test_a_page_that_is_missing(web):
    assert refused(lambda: opened(f"{web.address}/x.csv")) == (
        f"there is nothing at '{web.address}/x.csv' (status 404); check the address"
    )


def test_a_page_that_is_forbidden(web):
    web.failures = [403, 403]
    assert refused(lambda: opened(f"{web.address}/x.csv")) == (
        f"'{web.address}/x.csv' may not be read with the credentials of this environment (status 403); name a signed "
        f"address as 'files' in a file data.toml"
    )


def test_a_server_that_sends_whole_files_only(web):
    web.files, web.ranges = {"x.csv": b"a,b,c,label\n" + b"1,1,2,0\n" * 100_000}, False
    assert refused(lambda: opened(f"{web.address}/x.csv")) == (
        f"the server of '{web.address}/x.csv' does not send parts of a file; copy it to this machine"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(
            "ftp://host/x.csv",
            "the address 'ftp://host/x.csv' has an unknown beginning; it may be s3://, gs://, https://, http://",
            id="another protocol",
        ),
        pytest.param(
            f"https://{ACCESS_KEY}:{SECRET_KEY}@host/x.csv",
            "the address 'https://…@host/x.csv' holds a name or a password; credentials are taken from the environment "
            "only",
            id="a password",
        ),
        pytest.param(
            f"https://{ACCESS_KEY}:a/{SECRET_KEY}@host/x.csv",
            "the address 'https://…@host/x.csv' holds a name or a password; credentials are taken from the environment "
            "only",
            id="a password with a slash",
        ),
        pytest.param(
            f"s3://{ACCESS_KEY}:a/{SECRET_KEY}@bucket/x.csv",
            "the address 's3://…@bucket/x.csv' holds a name or a password; credentials are taken from the environment "
            "only",
            id="a password of S3 with a slash",
        ),
        pytest.param(
            f"s3://{ACCESS_KEY}:a#{SECRET_KEY}@bucket/x.csv",
            "the address 's3://…' holds a name or a password; credentials are taken from the environment only",
            id="a password with a mark",
        ),
        pytest.param(
            f"https://[{SECRET_KEY}/x.csv",
            "what follows 'https://' is no valid address; write for example s3://bucket/key or https://host/path",
            id="no address",
        ),
        pytest.param(
            f"https://host/x.csv?X-Amz-Signature={SECRET_KEY}",
            "'https://host/x.csv?…' has a query, which may be a signature, and records hold what --data names; name "
            "the address as 'files' in a file data.toml",
            id="a signature",
        ),
        pytest.param(
            "https://host/*.csv",
            "'https://host/*.csv' is a glob, and web servers list no files; write for example {000..199}",
            id="a glob",
        ),
    ],
)
def test_addresses_that_are_refused(data, message):
    assert refused(lambda: opened(data), UsageError) == message
    Path("data.toml").write_text(f"files = ['{data}']")
    if "?" not in data:
        assert refused(lambda: opened("data.toml"), UsageError) == message


@pytest.mark.parametrize(
    "address",
    [
        "s3://bucket/photo@2x.csv",
        "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/mine/x.csv",
        "https://host:8443/a@b.csv",
        "http://[::1]:9000/x.csv",
        "https://[::1]/x.csv",
    ],
)
def test_addresses_that_hold_nothing_secret(address):
    assert parts_of(address).geturl() == address


def test_nothing_is_asked_before_the_samples_are_read(web):
    refuse_missing(f"{web.address}/x.csv")
    assert web.asked == []


def test_paths_of_images_at_an_address_are_not_followed(web):
    web.files = {"x.csv": b"file,label\na.png,0\n"}
    assert refused(lambda: opened(f"{web.address}/x.csv")) == (
        f"record 0 (counted from 0) of '{web.address}/x.csv' names the file 'a.png', and files are only followed on "
        f"this machine; give the images as a WebDataset"
    )
    assert {asked.partition(" ")[2] for asked in web.asked} == {"/x.csv"}
