"""The `[[model]]` tables of a quantlab.toml, which `quantlab batch` reads."""

from pathlib import Path

import pytest
from command_line import quantlab_in_process

from quantlab.cli.model_tables import models_of
from quantlab.models import ModelOptions
from quantlab.study import AnalyzeOptions, ShardOptions
from quantlab.study.batch import BatchModel
from quantlab.types import Budget, Preprocessing


def written(folder, text):
    (folder / "quantlab.toml").write_text(text)
    return folder / "quantlab.toml"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, in which paths are relative."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_keys_are_the_options_of_analyze(here):
    written(
        here,
        """
        [[model]]
        model = "serving/kws/1"
        data = "kws.npz"

        [[model]]
        name = "small"
        model = "m.keras"
        data = "photos:load"
        settings = ["tfjs-*", "tflite-dynamic"]
        limit = 500
        layer_samples = 64
        no_costs = true
        unsafe = false
        slices = ["meta.csv:site", "meta.csv:day"]
        variant = "mine=m.tflite@python"
        custom = ["layers"]
        scale = 0.5
        study = "studies/small"
        """,
    )
    assert models_of(None) == (
        BatchModel("kws-1", Path("serving/kws/1"), "kws.npz", AnalyzeOptions(out=Path("kws-1.study"))),
        BatchModel(
            "small",
            Path("m.keras"),
            "photos:load",
            AnalyzeOptions(
                settings=("tfjs-*", "tflite-dynamic"),
                limit=500,
                layer_samples=64,
                costs=False,
                slices=("meta.csv:site", "meta.csv:day"),
                variants={"mine": Path("m.tflite")},
                variant_runtimes={"mine": ("python",)},
                model=ModelOptions(custom=("layers",)),
                preprocessing=Preprocessing(scale=0.5),
                out=Path("studies/small"),
            ),
        ),
    )


def test_keys_of_analyze_are_for_all_models(here):
    shared = '[analyze]\nmodel = "one.keras"\ndata = "d.npz"\nstudy = "one.study"\nsettings = ["tfjs-*"]\nlimit = 500\n'
    written(here, f"{shared}{MODEL}{MODEL}name = 'n'\nlimit = 20\n")
    models = models_of(None)
    assert [model.folder for model in models] == [Path("m.study"), Path("n.study")]
    assert [model.options.limit for model in models] == [500, 20]
    assert [model.options.settings for model in models] == [("tfjs-*",), ("tfjs-*",)]


def test_a_pipeline_is_for_all_models_and_a_server_for_one(here):
    shared = '[analyze]\npipeline = "canvas"\nserving = "http://localhost:8501/v1/models/all"\n'
    own = "serving = 'http://localhost:8501/v1/models/n'\npipeline = 'tf'\n"
    written(here, f"{shared}{MODEL}{MODEL}name = 'n'\n{own}")
    assert [(model.options.pipeline, model.options.serving) for model in models_of(None)] == [
        ("canvas", None),
        ("tf", "http://localhost:8501/v1/models/n"),
    ]


def test_models_are_cut_as_the_file_and_the_options_say(here):
    shared = '[analyze]\nengine = "dask"\naddress = "tcp://scheduler:8786"\nshard_size = 64\n'
    written(here, f"{shared}{MODEL}{MODEL}name = 'n'\nshards = 3\n")
    cluster = {"engine": "dask", "address": "tcp://scheduler:8786"}
    assert [model.options.sharding for model in models_of(None)] == [
        ShardOptions(shard_size=64, **cluster),
        ShardOptions(shards=3, **cluster),
    ]
    assert [model.options.sharding for model in models_of(None, {"engine": "local", "workers": 2})] == [
        ShardOptions(shard_size=64, engine="local", workers=2),
        ShardOptions(shards=3, engine="local", workers=2),
    ]


def test_scores_are_kept_as_the_file_and_the_option_say(here):
    written(here, f"[analyze]\nstore = 'scores'\n{MODEL}{MODEL}name = 'n'\nstore = 'outputs'\n")
    assert [model.options.store for model in models_of(None)] == ["scores", "outputs"]
    assert [model.options.store for model in models_of(None, {"store": "scores"})] == ["scores", "scores"]


def test_the_budget_of_a_model_replaces_the_limits_of_all(here):
    shared = '[budget]\nmax_accuracy_loss = "1pt"\ntarget = "web"\nconfidence = 0.9\n'
    own = '[model.budget]\nmin_agreement = "97%"\nconfidence = 0.95\n'
    written(here, f"{shared}{MODEL}{MODEL}name = 'n'\n{own}{MODEL}name = 'o'\n[model.budget]\ntarget = 'node'\n")
    assert [model.budget for model in models_of(None)] == [
        Budget(max_accuracy_loss="1pt", target="web", confidence=0.9),
        Budget(min_agreement="97%", target="web", confidence=0.95),
        Budget(max_accuracy_loss="1pt", target="node", confidence=0.9),
    ]


def test_without_a_limit_there_is_no_budget(here):
    written(here, f"[budget]\ntarget = 'web'\n{MODEL}")
    assert models_of(None)[0].budget is None


def test_a_file_that_is_named_has_the_preprocessing_too(here):
    file = written(here, '[preprocessing]\nscale = 0.5\n[[model]]\nmodel = "m.keras"\ndata = "d.npz"\n')
    assert models_of(None)[0].options.preprocessing == Preprocessing()  # arrays are fed as they are
    assert models_of(Path(file.name))[0].options.preprocessing == Preprocessing(scale=0.5)


MODEL = '[[model]]\nmodel = "m.keras"\ndata = "d.npz"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "",
            "'quantlab.toml' has no [[model]] table; write one for each model, with model = \"FILE\" and data = "
            '"SAMPLES"',
            id="no table",
        ),
        pytest.param(
            '[model]\nmodel = "m.keras"\n',
            "'model' in 'quantlab.toml' is no list of tables; write [[model]] above each model's keys",
            id="one table instead of a list",
        ),
        pytest.param(
            '[[model]]\ndata = "d.npz"\n',
            "[[model]] 1 of 'quantlab.toml' has no model; write model = \"FILE\" below it",
            id="no model",
        ),
        pytest.param(
            f'{MODEL}[[model]]\nmodel = "m.keras"\ndata = 5\n',
            "[[model]] 2 of 'quantlab.toml' has no data; write data = \"FILE\" below it",
            id="data that are no text",
        ),
        pytest.param(
            f'{MODEL}name = "../m"\n',
            "the name '../m' of [[model]] 1 of 'quantlab.toml' must be of letters, digits, '.', '_' and '-'; it names "
            "files",
            id="a name that is a path",
        ),
        pytest.param(
            f'{MODEL}name = "index"\n',
            "the name 'index' of [[model]] 1 of 'quantlab.toml' is that of the page of all models; choose another name",
            id="the name of the overview",
        ),
        pytest.param(
            f"{MODEL}budget = 5\n",
            "budget of [[model]] 1 of 'quantlab.toml' is 5; write [model.budget] and its keys below",
            id="a budget that is no table",
        ),
        pytest.param(
            f"{MODEL}[model.budget]\nstudies = ['a.study']\n",
            "[model.budget] of [[model]] 1 of 'quantlab.toml' has the key 'studies', which belongs to [budget]; remove "
            "it",
            id="a budget of one model that names studies",
        ),
        pytest.param(
            f"{MODEL}[model.budget]\nmax_siz = 5\n",
            "the budget of [[model]] 1 of 'quantlab.toml': [budget] has no key 'max_siz'; did you mean 'max_size' or "
            "'max_rmse'?",
            id="an unknown key of a budget",
        ),
        pytest.param(
            f'{MODEL}seting = "all"\n',
            "[[model]] 1 of 'quantlab.toml' has no key 'seting'; did you mean 'settings' or 'serving'?",
            id="an unknown key",
        ),
        pytest.param(
            f"{MODEL}no_costs = 1\n",
            "no_costs of [[model]] 1 of 'quantlab.toml' is 1 and must be true or false; correct it",
            id="a flag that is a number",
        ),
        pytest.param(
            f"{MODEL}limit = true\n",
            "limit of [[model]] 1 of 'quantlab.toml' is True and must be text, a number, or a list of these; correct "
            "it",
            id="a number that is a flag",
        ),
        pytest.param(
            f'{MODEL}layer_samples = "few"\n',
            "[[model]] 1 of 'quantlab.toml': --layer-samples is 'few' and must be a positive integer or 'all'",
            id="a value that quantlab refuses",
        ),
        pytest.param(
            f'{MODEL}engine = "dusk"\n',
            "[[model]] 1 of 'quantlab.toml': there is no engine 'dusk'; did you mean 'dask'?",
            id="an unknown engine",
        ),
        pytest.param(
            f"{MODEL}shards = 3\nshard_size = 64\n",
            "[[model]] 1 of 'quantlab.toml': --shards 3 and --shard-size 64 contradict each other; give one of them",
            id="two ways to cut",
        ),
        pytest.param(
            f'{MODEL}store = "sums"\n',
            "[[model]] 1 of 'quantlab.toml': there is no --store 'sums'; choose outputs or scores",
            id="an unknown thing to keep",
        ),
        pytest.param(
            f"{MODEL}{MODEL}",
            "two [[model]] tables of 'quantlab.toml' have the name 'm'; give each a different name",
            id="a name twice",
        ),
        pytest.param(
            f'{MODEL}study = "same.study"\n{MODEL}name = "n"\nstudy = "same.study"\n',
            "two [[model]] tables of 'quantlab.toml' have the folder 'same.study'; give each a different study",
            id="a folder twice",
        ),
        pytest.param(
            f"[analyze]\nlimt = 5\n{MODEL}",
            "[analyze] has no key 'limt'; did you mean 'limit'?",
            id="an unknown key for all models",
        ),
        pytest.param(
            f"{MODEL}[modell]\n",
            "'quantlab.toml' has the unknown table [modell]; did you mean 'model'?",
            id="an unknown table",
        ),
    ],
)
def test_tables_that_are_refused(here, text, message):
    written(here, text)
    ran = quantlab_in_process("batch", cwd=here)
    assert (ran.status, ran.stdout, ran.last) == (2, "", f"quantlab: {message}")


def test_a_value_that_the_option_refuses(here):
    written(here, f"{MODEL}limit = 0\n")
    ran = quantlab_in_process("batch", cwd=here)
    assert ran.status == 2
    # The middle is typer's, whose words depend on its version.
    assert ran.last.startswith("quantlab: [[model]] 1 of 'quantlab.toml': invalid value for '--limit': ")
    assert ran.last.endswith("; correct the key")


def test_a_file_that_is_missing(here):
    ran = quantlab_in_process("batch", cwd=here)
    assert ran.last == ("quantlab: there is no file 'quantlab.toml' to read [[model]] from; name an existing TOML file")
