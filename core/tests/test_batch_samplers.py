"""Batch samplers as plugins: the built-in one, the contract, and what is wrong with a plan."""

from __future__ import annotations

import logging
import random
import types

import pytest
from _pytest.outcomes import Failed
from attrs import evolve, frozen

from allophone.config import Experiment, resolve, structure
from allophone.data.batch_sampler import BatchingConfig, EpochPlan, SamplingContext
from allophone.data.batching import LengthBucketsConfig
from allophone.data.digests import digest_of
from allophone.data.length_buckets import build, plan_batches
from allophone.data.manifest import Dropped
from allophone.datasets.loading import open_corpus
from allophone.datasets.sampling import open_sampler
from allophone.entries import BatchSamplerEntry, RecipeEntry
from allophone.errors import ConfigError, PluginError, UserError
from allophone.hookspecs import hookimpl
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.registry import build_registry
from allophone_testing import BatchSamplerContract
from allophone_testing.corpus import write_corpus


class TestLengthBuckets(BatchSamplerContract):
    sampler = "length-buckets"


class TestLengthBucketsOfOne(BatchSamplerContract):
    """Where not all utterances can be shared by the ranks."""

    sampler = "length-buckets"
    options = {"max_utterances": 1}  # noqa: RUF012
    utterances = 23


def test_its_plans_are_those_that_they_were():
    """The digest is of the plans as they were before batch samplers were plugins."""
    plans = []
    for number in range(12):
        draw = random.Random(number)
        count = draw.choice([8, 40, 300, 1000])
        lengths = [round(draw.uniform(0.5, 20), 3) for _ in range(count)]
        weights = None if number % 3 == 0 else [draw.choice([0.3, 1, 2, 1.5]) for _ in lengths]
        plan = plan_batches(
            lengths,
            weights=weights,
            max_length=draw.choice([20.0, 60.0, 200.0]),
            max_items=draw.choice([1, 4, 32]),
            buckets=draw.choice([1, 4, 16]),
            world_size=draw.choice([1, 2, 3]),
            shuffle=number % 4 != 3,
            seed=number,
        )
        plans += [plan.epoch(epoch).steps[:] for epoch in (0, 1, 7)]
    assert digest_of(plans) == "1433831612b49daa3b2e5ffe95d93ce4"


@frozen(kw_only=True)
class TurnsConfig(BatchingConfig):
    """The batch sampler `turns`: one utterance at a time, speaker after speaker.

    mistake: what it does wrong.
    """

    mistake: str = ""


@frozen(kw_only=True)
class BareConfig:
    """Does not extend BatchingConfig."""


class Turns:
    """Gives each speaker as many places as the rarest has, in training, and says what sits out."""

    def __init__(self, config: TurnsConfig, context: SamplingContext) -> None:
        self.mistake, self.context = config.mistake, context
        self.asked = 0
        if self.mistake == "raises":
            raise KeyError("speaker-9")

    def epoch(self, number: int) -> EpochPlan:
        context, mistake = self.context, self.mistake
        self.asked += 1
        draw = random.Random(f"{context.seed}:{number if context.shuffle else 0}")
        if mistake == "shared generator":
            draw = random
        if mistake == "order asked":
            draw = random.Random(self.asked)
        if mistake == "same epochs":
            draw = random.Random(context.seed)
        if mistake == "validation shuffled":
            draw = random.Random(number)
        order = list(range(len(context.utterances)))
        draw.shuffle(order)
        dropped = {}
        if not context.once:
            queues = {}
            for index in order:
                queues.setdefault(context.utterances[index].speaker, []).append(index)
            fewest = min(map(len, queues.values()))
            order = [index for turn in zip(*queues.values(), strict=False) for index in turn]
            for speaker, queue in queues.items():
                why = Dropped(reason="speaker has enough", detail=str(speaker))
                dropped |= dict.fromkeys(queue[fewest:], why)
        left = len(order) % context.ranks
        why = Dropped(reason="not to be shared by the ranks", detail="")
        dropped |= dict.fromkeys(order[len(order) - left :], why)
        order = order[: len(order) - left]
        steps = [
            [[index] for index in order[first : first + context.ranks]]
            for first in range(0, len(order), context.ranks)
        ]
        return EpochPlan(steps=self.broken(steps), dropped={} if mistake == "unsaid" else dropped)

    def broken(self, steps):
        first = steps[0]
        return {
            "no steps": [],
            "too few batches": [[*first[:-1]], *steps[1:]],
            "empty batch": [[[], *first[1:]], *steps[1:]],
            "no such utterance": [[[999], *first[1:]], *steps[1:]],
            "half a position": [[[0.5], *first[1:]], *steps[1:]],
            "twice": [first, *steps],
            "forgets": steps[1:],
        }.get(self.mistake, steps)


def registry_with(*samplers, recipes=()):
    module = types.ModuleType("stranger")
    module.CONTRACT = 1
    module.allophone_batch_samplers = hookimpl(lambda: samplers)
    module.allophone_recipes = hookimpl(lambda: recipes)
    return build_registry({"stranger": module})


TURNS = BatchSamplerEntry(
    name="turns", summary="-", config=f"{__name__}:TurnsConfig", sampler=f"{__name__}:Turns"
)
BARE = BatchSamplerEntry(
    name="bare", summary="-", config=f"{__name__}:BareConfig", sampler=f"{__name__}:Turns"
)


class TestTurns(BatchSamplerContract):
    sampler = "turns"

    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls):
        return registry_with(TURNS)


def contract(test, mistake, sampler="turns"):
    """Run one test of the contract on the sampler with a mistake."""

    class Mutant(BatchSamplerContract):
        options = {"mistake": mistake} if mistake else {}

    Mutant.sampler = sampler
    getattr(Mutant(), test)(registry_with(TURNS, BARE))


@pytest.mark.parametrize(
    ("test", "mistake", "complaint"),
    [
        ("its_plans_keep_the_rules", "no steps", "it has no steps"),
        ("its_plans_keep_the_rules", "too few batches", "step 0 has 0 batches for 1 ranks"),
        ("its_plans_keep_the_rules", "empty batch", "batch of rank 0 in step 0 is empty"),
        ("its_plans_keep_the_rules", "no such utterance", "position 999, and there are 60"),
        ("its_plans_keep_the_rules", "half a position", "TypeError: 'float' object"),
        ("its_plans_keep_the_rules", "twice", "several times occur 1 utterances: utterance-"),
        ("its_plans_keep_the_rules", "forgets", "neither in a batch nor dropped are 1 utterances"),
        ("its_plans_keep_the_rules", "unsaid", "neither in a batch nor dropped"),
        ("its_plans_keep_the_rules", "raises", r"cannot be built: .*KeyError: 'speaker-9'"),
        ("a_plan_depends_on_the_epoch_and_the_seed_alone", "order asked", "asked for first"),
        ("a_plan_depends_on_the_epoch_and_the_seed_alone", "shared generator", "asked for first"),
        ("it_leaves_the_random_numbers_of_the_run_alone", "shared generator", "shared generator"),
        ("validation_has_one_order", "validation shuffled", "epochs 0 and 1 differ"),
        ("the_order_of_training_changes", "same epochs", "epochs 0 and 1 are the same"),
    ],
)
def test_the_contract_finds_a_mistake(test, mistake, complaint):
    contract(f"test_{test}", None)
    with pytest.raises((AssertionError, Failed), match=complaint):
        contract(f"test_{test}", mistake)


def test_the_contract_finds_a_config_without_workers():
    contract("test_its_config_has_workers", None)
    with pytest.raises(AssertionError, match="BareConfig must extend"):
        contract("test_its_config_has_workers", None, sampler="bare")
    context = BatchSamplerContract.contexts()["training"]
    with pytest.raises(PluginError, match=r"'bare' of stranger .*does not extend BatchingConfig"):
        open_sampler(BareConfig(), context, registry_with(BARE))


def test_what_is_dropped_is_in_no_batch():
    context = BatchSamplerContract.contexts()["training"]
    plan = open_sampler(TurnsConfig(), context, registry_with(TURNS)).epoch(0)
    given = {index for step in plan.steps for batch in step for index in batch}
    assert given
    assert given | set(plan.dropped) == set(range(60))
    first = next(iter(given))
    both = evolve(plan, dropped={**plan.dropped, first: Dropped(reason="-", detail="-")})

    class Both:
        def epoch(self, number):
            return both

    sampler = evolve(open_sampler(TurnsConfig(), context, registry_with(TURNS)), sampler=Both())
    name = context.utterances[first].id
    with pytest.raises(PluginError, match=f"both dropped and in a batch are 1 utterances: {name}"):
        sampler.epoch(0)


def test_a_plan_that_breaks_a_rule_names_the_plugin_and_a_way_out():
    context = BatchSamplerContract.contexts()["training"]
    sampler = open_sampler(TurnsConfig(mistake="no steps"), context, registry_with(TURNS))
    with pytest.raises(
        PluginError, match="'turns' of stranger .* epoch 3 of the split 'train'"
    ) as e:
        sampler.epoch(3)
    assert 'type = "length-buckets"' in e.value.hint


def test_an_utterance_beyond_the_budget_is_named():
    context = BatchSamplerContract.contexts()["validation"]
    with pytest.raises(UserError, match=r"'valid' are longer than a batch .*utterance-\d+"):
        build(LengthBucketsConfig(max_seconds=5), context)


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """recipe(text) resolves a file that builds on a recipe, which says how long a batch is and no more."""
    (tmp_path / "preset_batches").mkdir()
    (tmp_path / "preset_batches" / "__init__.py").touch()
    preset = "[data.batching]\nmax_seconds = 7.0\n"
    (tmp_path / "preset_batches" / "preset.toml").write_text(preset)
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = RecipeEntry(
        name="preset/seven", summary="-", package="preset_batches", path="preset.toml"
    )
    registry = registry_with(TURNS, recipes=(entry,))

    def resolved(text="", *overrides):
        path = tmp_path / "mine.toml"
        path.write_text(f'recipe = "preset/seven"\n{text}')
        return resolve(path, overrides, registry=registry)

    return resolved


def test_another_type_keeps_nothing_of_a_recipe_that_names_none(recipe):
    resolved = recipe('[data.batching]\ntype = "turns"\nworkers = 1\n')
    assert resolved.experiment.data.batching == TurnsConfig(workers=1)
    assert resolved.plain["data"]["batching"] == {"type": "turns", "workers": 1, "mistake": ""}
    assert resolved.origins["data.batching.mistake"] == "default"
    assert recipe("", "data.batching.type=turns").experiment.data.batching == TurnsConfig()


def test_the_default_type_keeps_what_a_recipe_says(recipe):
    expected = LengthBucketsConfig(max_seconds=7, buckets=3)
    same = '[data.batching]\ntype = "length-buckets"\nbuckets = 3\n'
    for text in (same, same.replace('type = "length-buckets"\n', "")):
        assert recipe(text).experiment.data.batching == expected
    set_so = recipe("", "data.batching.type=length-buckets", "data.batching.buckets=3")
    assert set_so.experiment.data.batching == expected
    assert set_so.origins["data.batching.max_seconds"] == "recipe preset/seven"


def test_an_unknown_sampler_is_refused_with_what_there_is():
    plain = {"data": {"batching": {"type": "curriculum"}}}
    with pytest.raises(ConfigError, match=r"no batch sampler 'curriculum'.\s+Available: .*turns"):
        structure(Experiment, plain, registry=registry_with(TURNS))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Twelve utterances of two speakers, opened with the sampler `turns` to be had."""
    folder = tmp_path_factory.mktemp("samplers")
    write_corpus(folder / "recordings", utterances=12, speakers=2, sample_rate=8000)
    corpora = {
        "type": "table",
        "root": str(folder / "recordings"),
        "columns": ["audio", "text", "speaker"],
    }
    plain = {
        "data": {
            "directory": str(folder / "data"),
            "corpora": [corpora],
            "splits": {"valid": 3, "test": 0, "golden_test": 0},
            "batching": {"type": "turns"},
        },
        "audio": {"sample_rate": 8000},
        "features": {"waveform": {}},
    }
    registry = registry_with(TURNS)
    experiment = structure(Experiment, plain, registry=registry)
    prepare(experiment, registry)
    extract(experiment, registry)
    return open_corpus(experiment, registry)


def loader_of(corpus, split="train", **how):
    vocabulary = corpus.build_vocabulary()
    return corpus.loader(split, features=("waveform",), vocabulary=vocabulary, **how)


def test_a_stranger_s_sampler_makes_the_batches_and_what_it_leaves_out_is_said(corpus, caplog):
    with caplog.at_level(logging.WARNING):
        loader = loader_of(corpus, weighted=True)
    batches = list(loader)
    assert [len(batch) for batch in batches] == [1] * len(loader)
    speakers = [int(batch.speakers[0]) for batch in batches]
    assert speakers.count(0) == speakers.count(1) == len(batches) / 2
    left = 9 - len(batches)
    assert left > 0, "the speakers of this split are not balanced"
    assert f"'turns' leaves {left} of 9 utterances of the split 'train' out" in caplog.text
    assert f"speaker has enough {left} (utterance-" in caplog.text


def test_validation_has_all_whatever_the_sampler(corpus, caplog):
    with caplog.at_level(logging.WARNING):
        ids = [id for batch in loader_of(corpus, "valid") for id in batch.ids]
    assert sorted(ids) == sorted(u.id for u in corpus.split("valid"))
    assert not caplog.records


def test_a_stranger_s_epoch_is_resumed_with_the_next_batch(corpus):
    whole, stopped, resumed = (loader_of(corpus, weighted=True) for _ in range(3))
    expected = [batch.ids for batch in whole]
    stopped_at = [batch.ids for batch, _ in zip(stopped, range(2), strict=False)]
    resumed.load_state_dict({**stopped.state_dict(), "position": 2})
    assert stopped_at + [batch.ids for batch in resumed] == expected


def test_a_broken_plan_ends_before_a_run_begins(corpus):
    data = evolve(corpus.experiment.data, batching=TurnsConfig(mistake="forgets"))
    broken = evolve(corpus, experiment=evolve(corpus.experiment, data=data))
    with pytest.raises(PluginError, match="'turns' of stranger .* neither in a batch nor dropped"):
        loader_of(broken, weighted=True)
