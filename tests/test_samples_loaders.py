"""A user's own module:function as a source of samples."""

import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from quantlab.errors import SamplesError
from quantlab.samples import SampleOptions, open_samples
from quantlab.samples.loaders import open_loader
from quantlab.types import TensorSpec
from quantlab.user_functions import called_loader
from tests.memory import anonymous_bytes

pytestmark = pytest.mark.starts_children

IMAGE = TensorSpec("image", (None, 4, 3, 1), "float32")
PIXELS = np.arange(10 * 12, dtype=np.float32).reshape(10, 4, 3, 1)
CLASSES = np.arange(10) % 3

MODULE = """
    import os
    import sys
    import numpy as np
    X = np.arange(10 * 12, dtype=np.float32).reshape(10, 4, 3, 1)
    Y = np.arange(10) % 3
    rng = np.random.default_rng()  # another in each process

    class Dataset:  # as tf.data has it
        def __init__(self, elements, cardinality=-2):
            self.elements, self.size = elements, cardinality
        def cardinality(self):
            return self.size
        def as_numpy_iterator(self):
            return iter(self.elements)

    def arrays(): return X, Y
    def alone(): return X
    def one_buffer():
        buffer = np.empty_like(X[0])
        for x, y in zip(X, Y):
            buffer[:] = x
            yield buffer, y
    def counted():
        with open("calls", "a") as file:
            file.write("called ")
        return X
    def printing():
        print("on standard output")
        os.write(1, b"and under it")
        return X
    def leaving(): sys.exit(0)
    def gone(): os._exit(0)
    def crashing(): os.kill(os.getpid(), 11)
    def interrupted(): raise KeyboardInterrupt
    def forking():
        if os.fork() == 0: return X[:1]
        os.wait()
        return X
    def sleeping():
        import time
        time.sleep(600)
    def by_name(): return {"image": X, "y": Y}
    def by_name_and_labels(): return {"image": X}, np.eye(3)[Y]
    def samples():
        for x, y in zip(X, Y): yield x, y
    def batches():
        for start in range(0, 10, 4): yield {"image": X[start:start + 4], "labels": Y[start:start + 4]}
    def ending_empty():
        yield X, Y
        yield X[:0], Y[:0]
    def dataset(): return Dataset([(x, y) for x, y in zip(X, Y)])
    def dataset_of_batches(): return Dataset([(X[:6], Y[:6]), (X[6:], Y[6:])])

    def shuffled():
        order = rng.permutation(10)
        return X[order], Y[order]
    def shuffled_labels(): return X, rng.permutation(10)
    def growing():
        for number in range(1 + os.getpid() % 50): yield X[0], 0
    def endless(): return Dataset([], cardinality=-1)
    def nothing(): pass
    def no_samples(): yield from ()
    def raising(): raise RuntimeError("no network")
    def raising_later():
        yield X, Y
        raise RuntimeError("no network")
    def triple(): return X, Y, Y
    def uneven():
        yield X[0], 0
        yield X[0].astype(np.float64), 0
    def half_labelled():
        yield X[0], 0
        yield X[1]
    def no_channel():
        yield X[..., 0], Y
    def objects(): return [[1], [2, 3]]
    def label_objects(): return X, np.array([None] * 10)
    def too_few_labels_of_batches(): return iter([(X[:4], Y[:3])] * 2)
    def one_label_of_a_batch(): return iter([(X[:4], 1)] * 2)
    def too_few_labels(): return X, Y[:9]
    def changing_labels():
        yield X[0], np.zeros(2)
        yield X[0], np.zeros(3)
    constant = 3
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("loaders.py").write_text(textwrap.dedent(MODULE))
    Path("broken.py").write_text("import not_there_at_all")


def opened(function, *, inputs=(IMAGE,), **options):
    samples, _ = open_samples(
        function,
        None,
        model_inputs=tuple(inputs),
        folder=Path("study"),
        options=SampleOptions(**options),
        calibrate=0,
    )
    return samples


@pytest.mark.parametrize(
    "function",
    ["arrays", "by_name", "by_name_and_labels", "samples", "batches", "ending_empty", "dataset", "dataset_of_batches"],
)
def test_every_form_gives_the_same_samples(function):
    np.savez("x.npz", x=PIXELS, y=CLASSES)
    assert opened(f"loaders:{function}", limit=7).sha256 == opened("x.npz", limit=7).sha256


def test_many_single_samples_keep_their_labels_in_order():
    Path("loaders.py").write_text("def many():\n    for n in range(9000):\n        yield [n], n % 7\n")
    source = open_loader("loaders:many", inputs=[TensorSpec("a", (None, 1), "int32")])
    np.testing.assert_array_equal(source.labels, np.arange(9000) % 7, strict=True)


def test_labels_of_many_single_samples_take_little_memory():
    Path("loaders.py").write_text("def many():\n    for n in range(200_000):\n        yield n, n % 7\n")
    before = anonymous_bytes()
    source = open_loader("loaders:many", inputs=[TensorSpec("a", (None,), "int32")])
    assert anonymous_bytes() - before < 8 * source.labels.nbytes


def test_samples_without_labels():
    samples = opened("loaders:alone")
    assert not samples.labelled
    np.testing.assert_array_equal(np.load(samples.input_file("image")), PIXELS)


ENDED = "ended its process instead of returning"


def test_a_loader_may_fill_one_buffer_over_and_over():
    np.testing.assert_array_equal(np.load(opened("loaders:one_buffer").input_file("image")), PIXELS)


@pytest.mark.parametrize("name", ["printing", "forking"])
def test_what_a_function_does_beside_is_its_own(name, capfd):
    np.testing.assert_array_equal(np.load(opened(f"loaders:{name}").input_file("image")), PIXELS)
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("leaving", "raised SystemExit (0)", id="sys.exit"),
        pytest.param("gone", f"{ENDED} (the process exited with status 0)", id="os._exit"),
        pytest.param("crashing", f"{ENDED} (the process was ended by SIGSEGV)", id="a crash"),
        pytest.param(
            "interrupted",
            f"{ENDED} (the process was ended by SIGINT; its log ends with: KeyboardInterrupt)",
            id="KeyboardInterrupt",
        ),
    ],
)
def test_a_function_that_does_not_return(name, reason):
    with pytest.raises(SamplesError) as refused:
        opened(f"loaders:{name}")
    assert str(refused.value) == f"the loader 'loaders:{name}' {reason}; call it directly to see where"


def test_a_function_that_never_ends():
    with pytest.raises(SamplesError, match=r"^the loader 'loaders:sleeping' did not answer for 0\.5 seconds and was"):
        open_loader("loaders:sleeping", inputs=[IMAGE], options=SampleOptions(stall_seconds=0.5))


def test_the_function_is_called_twice():
    opened("loaders:counted")
    assert Path("calls").read_text() == "called called "


def test_a_function_makes_samples_while_others_are_looked_at_and_runs_no_further_ahead():
    Path("loaders.py").write_text(
        "import numpy as np\nfrom pathlib import Path\n"
        "def large():\n    for n in range(3):\n        Path(f'begun-{n}').touch()\n"
        "        yield np.full(2**20, n, 'float32')\n"
    )
    began, until = [], time.monotonic() + 60
    with called_loader("loaders:large", SamplesError) as called:
        for given in called.elements():  # each is large enough to be sent alone
            number = int(given.arrays[""][0])
            while not Path(f"begun-{min(number + 1, 2)}").exists() and time.monotonic() < until:
                time.sleep(0.01)
            began.append((number, sorted(path.name for path in Path().glob("begun-*"))))
    names = ["begun-0", "begun-1", "begun-2"]
    assert began == [(0, names[:2]), (1, names), (2, names)]


def test_single_samples_are_read_together_and_batches_of_other_lengths_too():
    Path("loaders.py").write_text(
        "import numpy as np\nX = np.arange(24000, dtype='float32').reshape(2000, 4, 3, 1)\nY = np.arange(2000)\n"
        "def single():\n    yield from zip(X, Y)\n"
        "def batches():\n    for n in range(0, 2000, 2):\n"
        "        yield np.asfortranarray(X[n : n + 2]), Y[n : n + 2]\n        yield X[:0], []\n"
        "def growing():\n    for n in range(63):\n        begin = n * (n + 1) // 2\n"
        "        yield X[begin : begin + n + 1], Y[begin : begin + n + 1]\n"
    )
    whole = np.arange(24000, dtype=np.float32).reshape(2000, 4, 3, 1)
    for name, most, labels in (("single", 1000, "int64"), ("batches", 2000, "float64"), ("growing", 63, "int64")):
        source = open_loader(f"loaders:{name}", inputs=[IMAGE])
        blocks = [block["image"].copy() for block in source.read(np.arange(1, source.n))]
        np.testing.assert_array_equal(np.concatenate(blocks), whole[1 : source.n])
        np.testing.assert_array_equal(source.labels, np.arange(source.n))
        assert source.labels.dtype == labels  # an empty list is of floats, so all labels are
        assert len(blocks) <= most


def test_scalar_samples_of_several_inputs():
    Path("loaders.py").write_text(
        "def pairs():\n    for n in range(5):\n        yield {'a': n, 'b': [n, n]}, n * 0.5\n"
    )
    inputs = [TensorSpec("b", (None, 2), "int32"), TensorSpec("a", (None,), "float32")]
    samples = opened("loaders:pairs", inputs=inputs)
    np.testing.assert_array_equal(np.load(samples.input_file("a")), np.arange(5, dtype=np.float32))
    np.testing.assert_array_equal(np.load(samples.input_file("b")), np.arange(5).repeat(2).reshape(5, 2))
    np.testing.assert_array_equal(np.load(samples.labels_file), np.arange(5) * 0.5)


@pytest.mark.starts_children
def test_a_dataset_of_tensorflow():
    pytest.importorskip("tensorflow")
    Path("loaders.py").write_text(
        "import tensorflow as tf\nimport numpy as np\n"
        "X = np.arange(120, dtype=np.float32).reshape(10, 4, 3, 1)\n"
        "def batched(): return tf.data.Dataset.from_tensor_slices((X, np.arange(10) % 3)).batch(4)\n"
        "def shuffled(): return tf.data.Dataset.from_tensor_slices((X, np.arange(10) % 3)).shuffle(10)\n"
        "def endless(): return tf.data.Dataset.from_tensor_slices(X).repeat()\n"
        "def tensors(): return tf.constant(X)\n"
    )
    np.savez("x.npz", x=PIXELS, y=CLASSES)
    np.save("alone.npy", PIXELS)
    assert opened("loaders:batched").sha256 == opened("x.npz").sha256
    assert opened("loaders:tensors").sha256 == opened("alone.npy").sha256
    with pytest.raises(SamplesError, match="gave other samples on its second pass"):
        opened("loaders:shuffled")
    with pytest.raises(SamplesError, match=r"gives a dataset that never ends; remove \.repeat\(\)"):
        opened("loaders:endless")


@pytest.mark.parametrize("function", ["shuffled", "shuffled_labels", "growing"])
def test_another_second_pass_is_refused(function):
    with pytest.raises(SamplesError) as refusal:
        opened(f"loaders:{function}")
    assert str(refusal.value) == (
        f"the loader 'loaders:{function}' gave other samples on its second pass, but every runtime must "
        "be fed the same; turn off shuffling and augmentation, or seed them"
    )
    assert list(Path("study").iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "loaders:arays", "the module 'loaders' has no function 'arays'; did you mean 'arrays'?", id="function"
        ),
        pytest.param(
            "loaders:constant",
            "the module 'loaders' has no function 'constant'; choose from 'Dataset', 'alone', 'arrays', 'batches', "
            "'by_name', 'by_name_and_labels', 'changing_labels', 'counted', 'crashing', 'dataset' "
            "and 27 more",
            id="what is no function",
        ),
        pytest.param(
            "loadres:arrays",
            "there is no module 'loadres' for 'loadres:arrays' in '{folder}' or among the installed "
            "packages; did you mean 'loaders'?",
            id="module",
        ),
        pytest.param(
            "broken:arrays",
            "the module of 'broken:arrays' could not be imported: it raised ModuleNotFoundError (No "
            "module named 'not_there_at_all'); fix that first",
            id="a module that misses another",
        ),
        pytest.param(
            "loaders:raising",
            "the loader 'loaders:raising' raised RuntimeError (no network); call it directly to see where",
            id="raises",
        ),
        pytest.param(
            "loaders:raising_later",
            "the loader 'loaders:raising_later' raised RuntimeError (no network); call it directly to see where",
            id="raises while it is read",
        ),
        pytest.param(
            "loaders:endless",
            "the loader 'loaders:endless' gives a dataset that never ends; remove .repeat()",
            id="never ends",
        ),
        pytest.param(
            "loaders:nothing",
            "the loader 'loaders:nothing' returned None; return samples, or (samples, labels)",
            id="returns nothing",
        ),
        pytest.param(
            "loaders:no_samples", "the loader 'loaders:no_samples' gave no samples; give at least one", id="no samples"
        ),
        pytest.param(
            "loaders:triple",
            "the loader 'loaders:triple' gave a tuple of 3 elements, and (samples, labels) was "
            "expected; give several inputs as a dict by name",
            id="three things",
        ),
        pytest.param(
            "loaders:uneven",
            "the loader 'loaders:uneven' first gave 'image' as float32 of shape (4, 3, 1) per "
            "sample, then as float64 of shape (4, 3, 1); give all samples the same shape and type",
            id="samples that differ",
        ),
        pytest.param(
            "loaders:half_labelled",
            "the loader 'loaders:half_labelled' gave labels for only some samples; give them for all or for none",
            id="labels now and then",
        ),
        pytest.param(
            "loaders:no_channel",
            "the input 'image' expects samples of shape (4, 3, 1), but those of 'loaders:no_channel' "
            "have shape (4, 3); add the channel dimension with x[..., None]",
            id="no channel",
        ),
        pytest.param(
            "loaders:label_objects",
            "the loader 'loaders:label_objects' gave an array of Python objects; give arrays of numbers",
            id="objects",
        ),
        pytest.param(
            "loaders:too_few_labels",
            "'loaders:too_few_labels' holds 10 samples of 'image' but 9 of 'labels'; give the same "
            "number of samples for every input",
            id="a label too few",
        ),
        pytest.param(
            "loaders:too_few_labels_of_batches",
            "'loaders:too_few_labels_of_batches' holds 4 samples of 'image' but 3 of 'labels'; give the same "
            "number of samples for every input",
            id="a label too few in each batch",
        ),
        pytest.param(
            "loaders:one_label_of_a_batch",
            "'loaders:one_label_of_a_batch' holds 4 samples of 'image' but 0 of 'labels'; give the same number of "
            "samples for every input",
            id="a label for each batch",
        ),
    ],
)
def test_loaders_that_do_not_fit(text, message, tmp_path):
    with pytest.raises(SamplesError) as refusal:
        opened(text)
    assert str(refusal.value) == message.replace("{folder}", str(tmp_path))


@pytest.mark.parametrize(
    ("text", "start"),
    [
        pytest.param("loaders:objects", "the loader 'loaders:objects' gave no valid array (", id="ragged"),
        pytest.param(
            "loaders:changing_labels", "the labels of 'loaders:changing_labels' differ in shape (", id="labels"
        ),
    ],
)
def test_reasons_that_numpy_gives_are_passed_on(text, start):
    with pytest.raises(SamplesError) as refusal:
        opened(text)
    assert str(refusal.value).startswith(start)
