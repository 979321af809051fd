"""Configuration: strict types, layers, origins, and TOML that reads back equal."""

from __future__ import annotations

import types
from typing import Any, Literal

import pytest
from attrs import Factory, field, frozen, validators
from hypothesis import given
from hypothesis import strategies as st

from allophone.config import resolve, structure, unstructure
from allophone.config.tables import assign, merge, parse_assignment, read_toml, write_toml
from allophone.entries import ModelEntry
from allophone.errors import ConfigError, PluginError, UserError
from allophone.fields import choice
from allophone.hookspecs import hookimpl
from allophone.registry import build_registry


@frozen(kw_only=True)
class Inner:
    width: int = 4
    rate: float = 0.5


@frozen(kw_only=True)
class Wide:
    span: int = 3


@frozen(kw_only=True)
class ModelConfig:
    layers: int = field(default=2, validator=validators.gt(0))
    residual: bool = True
    kind: Literal["small", "large"] = "small"
    dilations: tuple[tuple[int, ...], ...] = ((1, 3), (1, 5))
    limit: float | None = None
    factors: float | tuple[float, ...] = 1.0
    inner: Inner = Factory(Inner)
    end: Any = choice({"inner": Inner, "wide": Wide}, default="inner")


@pytest.fixture
def registry():
    module = types.ModuleType("inline")
    module.CONTRACT = 1

    @hookimpl
    def allophone_models():
        for name in ("toy", "joy"):
            yield ModelEntry(
                name=name,
                summary="A toy.",
                config=f"{__name__}:{'ModelConfig' if name == 'toy' else 'Inner'}",
                synthesizer=f"{__name__}:ModelConfig",
            )

    module.allophone_models = allophone_models
    return build_registry({"inline": module})


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Make this file importable under the name that its references use."""
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _here())


def _here():
    module = types.ModuleType(__name__)
    module.__dict__.update(globals())
    return module


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"layers": 16.7}, "layers: must be a whole number, not the number 16.7"),
        ({"layers": True}, "layers: must be a whole number, not true"),
        ({"layers": "3"}, "layers: must be a whole number, not the string '3'"),
        ({"layers": 0}, "'layers' must be > 0"),
        ({"residual": "false"}, "residual: must be true or false, not the string 'false'"),
        ({"residual": 1}, "residual: must be true or false, not the whole number 1"),
        ({"limit": True}, "limit: must be a number, not true"),
        ({"limit": [1.0]}, "limit: must be a number, not a list"),
        ({"factors": "x"}, "factors: must be a number or a list, not the string 'x'"),
        ({"factors": [1, "x"]}, "factors: must be a number, not the string 'x'"),
        ({"kind": "medium"}, "kind: "),
        ({"dilations": [[1, 2.5]]}, "dilations: "),
        ({"inner": {"widht": 3}}, "inner.widht: unknown key. Did you mean 'width'?"),
        ({"inner": 3}, "inner: must be a table, not the whole number 3"),
        ({"end": {"type": "wide", "span": "x"}}, "end.span: must be a whole number"),
        ({"end": {"type": "wide", "width": 3}}, "end.width: unknown key"),
        (
            {"end": {"type": "wyde"}},
            "end: has the type 'wyde'; available: inner, wide. Did you mean",
        ),
        ({"end": {"type": 3}}, "end: has the type 3; available: inner, wide."),
        ({"end": "wide"}, "end: must be a table, not the string 'wide'"),
        ({"layer": 3}, "layer: unknown key. Did you mean 'layers'?"),
    ],
)
def test_wrong_values_are_refused_with_their_path(plain, message, registry):
    with pytest.raises(ConfigError) as caught:
        structure(ModelConfig, plain, registry=registry)
    assert message in str(caught.value)


def test_all_problems_are_reported_at_once(registry):
    with pytest.raises(ConfigError) as caught:
        structure(ModelConfig, {"layers": "x", "residual": 0, "hue": 1}, registry=registry)
    assert all(word in str(caught.value) for word in ("layers", "residual", "hue"))


def test_whole_numbers_are_numbers(registry):
    made = structure(ModelConfig, {"limit": 3, "inner": {"rate": 1}}, registry=registry)
    assert made.limit == 3.0
    assert type(made.inner.rate) is float


def test_a_config_round_trips(registry):
    config = ModelConfig(layers=7, kind="large", limit=0.25, inner=Inner(width=9))
    plain = unstructure(config, registry=registry)
    assert structure(ModelConfig, plain, registry=registry) == config
    assert "limit" not in unstructure(ModelConfig(), registry=registry)


def test_a_choice_is_built_by_its_type(registry):
    assert ModelConfig().end == Inner()
    made = structure(ModelConfig, {"end": {"width": 7}}, registry=registry)
    assert made.end == Inner(width=7)
    made = structure(ModelConfig, {"end": {"type": "wide", "span": 5}}, registry=registry)
    assert made.end == Wide(span=5)
    plain = unstructure(made, registry=registry)
    assert plain["end"] == {"type": "wide", "span": 5}
    assert structure(ModelConfig, plain, registry=registry) == made


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_layers_override_in_order_and_origins_are_recorded(tmp_path, registry):
    path = write(
        tmp_path / "mine.toml",
        '[model]\ntype = "toy"\nlayers = 3\n[model.inner]\nwidth = 8\n[runtime]\nseed = 5\n',
    )
    resolved = resolve(path, ["model.layers=9", "runtime.precision=bf16"], registry=registry)
    assert resolved.experiment.model == ModelConfig(layers=9, inner=Inner(width=8))
    assert resolved.experiment.runtime.precision == "bf16"
    assert resolved.origins["model.layers"] == "--set"
    assert resolved.origins["model.inner.width"] == f"file {path}"
    assert resolved.origins["model.inner.rate"] == "default"
    again = resolve(write_plain(tmp_path / "again.toml", resolved.plain), registry=registry)
    assert again.experiment == resolved.experiment


STAGED = """
[runtime]
seed = 5
[model]
type = "toy"
layers = 3
[stages.coarse.runtime]
seed = 6
[stages.coarse.model]
layers = 4
[stages.fine.model]
layers = 5
"""


def test_a_stage_overrides_what_all_stages_share(tmp_path, registry):
    path = write(tmp_path / "mine.toml", STAGED)
    common = resolve(path, registry=registry)
    coarse = resolve(path, stage="coarse", registry=registry)
    fine = resolve(path, ["model.layers=9"], stage="fine", registry=registry)
    assert common.stages == coarse.stages == ("coarse", "fine")
    assert [each.experiment.model.layers for each in (common, coarse, fine)] == [3, 4, 9]
    assert [each.experiment.runtime.seed for each in (common, coarse, fine)] == [5, 6, 5]
    assert coarse.origins["model.layers"] == f"file {path}, stage coarse"
    assert "stages" not in coarse.plain


def test_a_file_overrides_the_stages_of_its_recipe(tmp_path, registry, monkeypatch):
    monkeypatch.setitem(resolve.__globals__, "read_recipe", lambda name, **_: STAGED)
    path = write(tmp_path / "mine.toml", 'recipe = "toys/staged"\n[model]\nlayers = 7\n')
    assert resolve(path, stage="coarse", registry=registry).experiment.model.layers == 7


def test_an_unknown_stage_is_refused_with_the_available_ones(tmp_path, registry):
    path = write(tmp_path / "mine.toml", STAGED)
    with pytest.raises(ConfigError, match="no stage 'corse'") as raised:
        resolve(path, stage="corse", registry=registry)
    assert "coarse" in raised.value.hint
    single = write(tmp_path / "single.toml", "[runtime]\nseed = 5\n")
    with pytest.raises(ConfigError, match="no stage") as raised:
        resolve(single, stage="coarse", registry=registry)
    assert "no stages" in raised.value.hint
    with pytest.raises(ConfigError, match="must hold tables"):
        resolve(write(tmp_path / "bad.toml", 'stages = ["a"]\n'), registry=registry)


def write_plain(path, plain):
    write_toml(path, plain)
    return path


def test_a_changed_type_drops_the_keys_of_the_other_type(tmp_path, registry):
    path = write(tmp_path / "mine.toml", '[model]\ntype = "toy"\nlayers = 3\n')
    resolved = resolve(path, ["model.type=joy", "model.width=5"], registry=registry)
    assert resolved.experiment.model == Inner(width=5)


def test_items_of_a_list_of_tables_are_set_by_index(tmp_path, registry):
    path = write(tmp_path / "x.toml", '[[data.corpora]]\ntype = "table"\nroot = "a"\n')
    resolved = resolve(path, ["data.corpora.0.root=/elsewhere/mine"], registry=registry)
    assert str(resolved.experiment.data.corpora[0].root) == "/elsewhere/mine"
    assert resolved.plain["data"]["corpora"][0]["type"] == "table"


def test_features_take_their_type_from_their_key(tmp_path, registry):
    path = write(tmp_path / "x.toml", "[features.waveform]\n[features.phonemes]\n")
    plain = resolve(path, registry=registry).plain
    assert plain["features"]["waveform"]["type"] == "waveform"


def test_a_missing_plugin_says_what_to_install(tmp_path, registry):
    path = write(tmp_path / "x.toml", '[model]\ntype = "absent"\n')
    with pytest.raises((ConfigError, PluginError), match="absent"):
        resolve(path, registry=registry)


def test_a_broken_toml_names_file_and_line(tmp_path, registry):
    with pytest.raises(ConfigError, match=r"x\.toml is not valid TOML.*line 2"):
        resolve(write(tmp_path / "x.toml", "[model]\nlayers = = 3\n"), registry=registry)


def test_a_recipe_may_be_based_on_another(registry, monkeypatch):
    texts = {"toys/own": 'recipe = "toys/staged"\n[model]\nlayers = 7\n', "toys/staged": STAGED}
    monkeypatch.setitem(resolve.__globals__, "read_recipe", lambda name, **_: texts[name])
    found = resolve("toys/own", registry=registry)
    assert found.experiment.model.layers == 7
    assert found.stages == resolve("toys/staged", registry=registry).stages
    assert found.origins["model.layers"] == "recipe toys/own"


def test_recipes_that_are_based_on_each_other_are_refused(registry, monkeypatch):
    texts = {"toys/one": 'recipe = "toys/two"', "toys/two": 'recipe = "toys/one"'}
    monkeypatch.setitem(resolve.__globals__, "read_recipe", lambda name, **_: texts[name])
    with pytest.raises(ConfigError, match="toys/one -> toys/two -> toys/one"):
        resolve("toys/one", registry=registry)


def test_an_unknown_recipe_is_refused(registry):
    with pytest.raises(PluginError, match="no recipe 'vitz/ljspeech'"):
        resolve("vitz/ljspeech", registry=registry)


def test_assignments():
    assert parse_assignment("a.b=[1, 2.5]") == ("a.b", [1, 2.5])
    assert parse_assignment("a=some/path") == ("a", "some/path")
    assert parse_assignment('a="7"') == ("a", "7")
    with pytest.raises(ConfigError):
        parse_assignment("a.b")
    with pytest.raises(ConfigError):
        parse_assignment("a=[1,")
    with pytest.raises(ConfigError, match="not an index"):
        assign({"a": [1]}, "a.x", 2)


def test_merge_replaces_lists_and_merges_tables():
    assert merge({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}}) == {"a": {"b": 1, "c": [2]}}


values = st.recursive(
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8),
    lambda inner: st.dictionaries(st.from_regex(r"[a-z_]{1,5}", fullmatch=True), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,5}", fullmatch=True), values, max_size=4))
def test_written_toml_reads_back_equal_or_is_refused(tmp_path_factory, plain):
    path = tmp_path_factory.mktemp("toml") / "x.toml"
    try:
        write_toml(path, plain)
    except UserError:
        assert not path.exists()
    else:
        assert read_toml(path) == plain
    assert not list(path.parent.glob(".*.tmp"))
