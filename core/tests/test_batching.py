"""Batching, vocabularies and the loader."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from allophone.config import Experiment, structure
from allophone.data.batch import Batch, Padded
from allophone.data.length_buckets import plan_batches
from allophone.data.vocabulary import (
    Vocabulary,
    build_vocabulary,
    read_vocabulary,
    write_vocabulary,
)
from allophone.datasets.loading import open_corpus
from allophone.errors import UserError
from allophone.preparation.extract import extract
from allophone.preparation.prepare import prepare
from allophone.registry import default_registry
from allophone.text.config import TextConfig
from allophone.text.symbols import SymbolTable
from allophone_testing.corpus import write_corpus

FEATURES = ("waveform", "phonemes")


def batches_of(plan, epoch, rank):
    return [step[rank] for step in plan.epoch(epoch).steps]


@st.composite
def plans(draw):
    lengths = draw(st.lists(st.floats(0.1, 20), min_size=1, max_size=120))
    world_size = draw(st.integers(1, 5))
    assume(len(lengths) >= world_size)
    limits = {
        "max_length": draw(st.floats(max(lengths), 100)),
        "max_items": draw(st.integers(1, 16)),
        "buckets": draw(st.integers(1, 8)),
    }
    plan = plan_batches(
        lengths, **limits, world_size=world_size, shuffle=draw(st.booleans()), seed=3
    )
    return lengths, limits, world_size, plan


@st.composite
def weighted_plans(draw):
    """Two corpora, each with a weight of its own; one of it is 1 at least, so all ranks are served."""
    lengths = draw(st.lists(st.floats(0.1, 20), min_size=8, max_size=120))
    weights = draw(st.permutations([draw(st.floats(0.05, 3)), draw(st.sampled_from([1.0, 2.0]))]))
    first = draw(st.integers(0, len(lengths) - 4))
    each = [weights[index < first] for index in range(len(lengths))]
    limits = {
        "max_length": draw(st.floats(max(lengths), 100)),
        "max_items": draw(st.integers(1, 16)),
        "buckets": draw(st.integers(1, 8)),
    }
    world_size = draw(st.integers(1, 2))
    assume(sum(each) >= world_size + 2)
    plan = plan_batches(lengths, weights=each, **limits, world_size=world_size, seed=3)
    return lengths, each, limits, world_size, plan


@given(plans(), st.integers(0, 3))
def test_ranks_have_the_same_number_of_batches_and_none_is_empty(drawn, epoch):
    _, _, world_size, plan = drawn
    for rank in range(world_size):
        batches = batches_of(plan, epoch, rank)
        assert len(batches) == len(batches_of(plan, epoch + 1, 0)) >= 1
        assert all(batches)


@given(plans(), st.integers(0, 3))
def test_every_utterance_occurs_once_per_epoch_except_idle_ones(drawn, epoch):
    lengths, limits, world_size, plan = drawn
    seen = [
        i for rank in range(world_size) for batch in batches_of(plan, epoch, rank) for i in batch
    ]
    assert len(seen) == len(set(seen)) == len(lengths) - plan.idle
    # Only if the budget has room for a single utterance, even of the shortest.
    shortest_bucket_has_room = 2 * max(lengths) <= limits["max_length"] and limits["max_items"] > 1
    if world_size == 1 or shortest_bucket_has_room:
        assert plan.idle == 0
    assert plan.idle < world_size


@given(plans(), st.integers(0, 3))
def test_no_batch_exceeds_its_budget(drawn, epoch):
    lengths, limits, world_size, plan = drawn
    for rank in range(world_size):
        for batch in batches_of(plan, epoch, rank):
            assert len(batch) <= limits["max_items"]
            padded = len(batch) * max(lengths[i] for i in batch)
            assert padded <= limits["max_length"] * (1 + 1e-9)


@given(weighted_plans(), st.integers(0, 50))
def test_weighted_epochs_have_the_same_size_and_fit_the_budget(drawn, epoch):
    lengths, weights, limits, world_size, plan = drawn
    shares = [batches_of(plan, epoch, rank) for rank in range(world_size)]
    assert {len(batches) for batches in shares} == {len(batches_of(plan, epoch + 1, 0))}
    seen = [index for batches in shares for batch in batches for index in batch]
    expected = sum(
        max(1, round(weight * weights.count(weight)))
        if weight % 1
        else weight * weights.count(weight)
        for weight in set(weights)
    )
    assert abs(len(seen) + plan.idle - expected) <= 1
    for batch in (batch for batches in shares for batch in batches):
        assert batch
        assert len(batch) <= limits["max_items"]
        padded = len(batch) * max(lengths[index] for index in batch)
        assert padded <= limits["max_length"] * (1 + 1e-9)
    for index in set(seen):
        assert seen.count(index) <= np.ceil(weights[index])
        assert plan.idle or seen.count(index) >= np.floor(weights[index])


@pytest.mark.parametrize("weight", [0.3, 0.5, 1.0, 1.25, 2.0, 3.7])
def test_an_utterance_occurs_according_to_its_weight(weight):
    lengths = [1 + index * 7 % 13 for index in range(140)]
    weights = [1.0] * 40 + [weight] * 100
    plan = plan_batches(lengths, weights=weights, max_length=60, max_items=8, buckets=4)
    epochs = 200
    counts = np.zeros(140)
    for epoch in range(epochs):
        for batch in batches_of(plan, epoch, 0):
            np.add.at(counts, batch, 1)
    assert (counts[:40] == epochs).all()
    assert counts[40:].sum() == pytest.approx(epochs * 100 * weight)
    np.testing.assert_allclose(counts[40:] / epochs, weight, atol=0.02)


def test_a_fractional_weight_skips_different_utterances_in_each_epoch():
    plan = plan_batches([1.0] * 10, weights=[0.1] * 10, max_length=9, max_items=9, buckets=1)
    taken = [batches_of(plan, epoch, 0) for epoch in range(60)]
    assert all(len(batches) == 1 and len(batches[0]) == 1 for batches in taken)
    assert {batches[0][0] for batches in taken} == set(range(10))


def test_weights_of_one_equal_no_weights():
    lengths = [1 + index % 7 for index in range(50)]
    limits = {"max_length": 40, "max_items": 8, "buckets": 4, "seed": 1}
    plain, weighted = (
        plan_batches(lengths, **limits),
        plan_batches(lengths, weights=[1.0] * 50, **limits),
    )
    assert plain.epoch(2).steps[:] == weighted.epoch(2).steps[:]


@given(plans())
def test_ranks_have_batches_of_similar_length_in_each_step(drawn):
    _, _, world_size, plan = drawn
    for step in zip(*(batches_of(plan, 0, rank) for rank in range(world_size)), strict=True):
        sizes = [len(batch) for batch in step]
        assert max(sizes) - min(sizes) <= 1


def test_epochs_differ_in_order_and_batches_and_are_reproducible():
    lengths = [1 + index % 7 for index in range(200)]
    plan, again = (
        plan_batches(lengths, max_length=40, max_items=8, buckets=4, seed=1) for _ in range(2)
    )
    assert batches_of(plan, 0, 0) == batches_of(again, 0, 0)
    assert {frozenset(batch) for batch in batches_of(plan, 0, 0)} != {
        frozenset(batch) for batch in batches_of(plan, 1, 0)
    }
    other = plan_batches(lengths, max_length=40, max_items=8, buckets=4, seed=2)
    assert batches_of(plan, 0, 0) != batches_of(other, 0, 0)


def test_idle_utterances_change_from_epoch_to_epoch():
    plan = plan_batches([5.0] * 7, max_length=5, max_items=8, buckets=1, world_size=4, seed=0)
    assert plan.idle == 3
    idle = set()
    for epoch in range(20):
        seen = {i for rank in range(4) for batch in batches_of(plan, epoch, rank) for i in batch}
        idle |= set(range(7)) - seen
    assert idle == set(range(7))


def test_similar_lengths_are_batched_together():
    lengths = list(np.random.default_rng(0).uniform(1, 10, 2000))
    plan = plan_batches(lengths, max_length=160, max_items=64, buckets=16)
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in batches_of(plan, 0, 0))
    assert sum(lengths) / padded > 0.9


@pytest.mark.parametrize(
    ("lengths", "world_size", "message"),
    [([1.0, 11.0], 1, "exceeds the budget"), ([1.0], 2, "too small for 2 ranks")],
)
def test_impossible_plans_are_refused(lengths, world_size, message):
    with pytest.raises(ValueError, match=message):
        plan_batches(lengths, max_length=10, max_items=4, buckets=2, world_size=world_size)


def test_selected_rows_lose_the_padding_of_the_others():
    batch = Batch(
        ids=("a", "b", "c"),
        features={
            "f0": Padded(
                values=torch.tensor([[1.0, 2, 0, 0], [3, 4, 5, 0], [6, 7, 8, 9]]),
                lengths=torch.tensor([2, 3, 4]),
            )
        },
        speakers=torch.tensor([4, 5, 6]),
        languages=torch.tensor([0, 1, 2]),
        audio_seconds=9.0,
    )
    two, last = batch.rows(slice(2)), batch.rows(slice(2, 3))
    assert two.ids == ("a", "b")
    assert two["f0"].values.tolist() == [[1, 2, 0], [3, 4, 5]]
    assert two["f0"].lengths.tolist() == [2, 3]
    assert two.speakers.tolist() == [4, 5]
    assert two.audio_seconds == 6
    assert last.languages.tolist() == [2]
    assert last["f0"].values.tolist() == [[6, 7, 8, 9]]
    assert batch.rows(slice(9)).ids == batch.ids


def test_a_vocabulary_is_sorted_and_reads_back_equal(tmp_path):
    vocabulary = build_vocabulary(
        TextConfig(boundaries=True), symbols="hello", speakers=["p2", "p1", "p2"], languages=["en"]
    )
    assert vocabulary.speakers == ("p1", "p2")
    assert list(vocabulary.symbols.ids) == ["_", "^", "$", "e", "h", "l", "o"]
    write_vocabulary(tmp_path / "vocabulary.json", vocabulary)
    assert read_vocabulary(tmp_path / "vocabulary.json") == vocabulary


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "must be a JSON object"),
        ('{"symbols": {}, "speakers": ["a", "a"], "languages": []}', "list of distinct names"),
        ('{"symbols": {}, "speakers": [], "languages": "en"}', "list of distinct names"),
        ('{"symbols": {}, "speakers": [], "languages": []}', "symbol table"),
    ],
)
def test_a_broken_vocabulary_is_reported(tmp_path, content, message):
    path = tmp_path / "vocabulary.json"
    path.write_text(content)
    with pytest.raises(UserError, match=f"vocabulary.json: .*{message}"):
        read_vocabulary(path)


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """Forty utterances of two speakers, extracted."""
    folder = tmp_path_factory.mktemp("batching")
    write_corpus(folder / "recordings", utterances=40, speakers=2, sample_rate=8000)
    experiment = structure(
        Experiment,
        {
            "data": {
                "directory": str(folder / "data"),
                "corpora": [
                    {
                        "type": "table",
                        "root": str(folder / "recordings"),
                        "columns": ["audio", "text", "speaker"],
                    }
                ],
                "splits": {"valid": 6, "test": 3, "golden_test": 0},
                "batching": {"max_seconds": 16, "max_utterances": 4},
            },
            "text": {"phonemizer": {"type": "graphemes"}},
            "audio": {"sample_rate": 8000},
            "features": {"waveform": {}, "phonemes": {}},
        },
    )
    prepare(experiment, default_registry())
    extract(experiment, default_registry())
    return experiment


@pytest.fixture(scope="module")
def corpus(experiment):
    return open_corpus(experiment)


@pytest.fixture(scope="module")
def vocabulary(corpus):
    return corpus.build_vocabulary()


def changed(corpus, **batching):
    experiment = corpus.experiment
    data = evolve(experiment.data, batching=evolve(experiment.data.batching, **batching))
    return evolve(corpus, experiment=evolve(experiment, data=data))


def test_the_vocabulary_of_a_corpus(corpus, vocabulary):
    assert vocabulary.speakers == ("speaker-0", "speaker-1")
    assert vocabulary.languages == ("en-us",)
    letters = {letter for u in corpus.split("train") for letter in u.text}
    assert set(vocabulary.symbols.ids) == {"_", *letters}


def test_a_batch_holds_the_features_padded(corpus, vocabulary):
    loader = corpus.loader("valid", features=FEATURES, vocabulary=vocabulary)
    stored = {item.utterance.id: item for item in corpus.stored}
    count = 0
    for batch in loader:
        waveform, phonemes = batch["waveform"], batch["phonemes"]
        assert waveform.values.dtype == torch.float32
        assert phonemes.values.dtype == torch.int64
        seconds = 0.0
        for row, id in enumerate(batch.ids):
            item = stored[id]
            samples = item.features["waveform"].read()
            length = int(waveform.lengths[row])
            assert np.array_equal(waveform.values[row, :length].numpy(), samples)
            assert not waveform.values[row, length:].any()
            ids = vocabulary.symbols.encode(list(item.utterance.text))
            assert phonemes.values[row, : int(phonemes.lengths[row])].tolist() == ids
            assert phonemes.mask()[row].sum() == len(ids)
            assert vocabulary.speakers[int(batch.speakers[row])] == item.utterance.speaker
            seconds += len(samples) / 8000
        assert batch.audio_seconds == pytest.approx(seconds)
        assert int(batch.languages.sum()) == 0
        count += len(batch)
    assert count == 6


def test_an_epoch_has_every_utterance_of_its_split_once(corpus, vocabulary):
    loader = corpus.loader("train", features=FEATURES, vocabulary=vocabulary)
    ids = [id for batch in loader for id in batch.ids]
    assert sorted(ids) == sorted(u.id for u in corpus.split("train"))
    assert len(ids) == 31
    assert (loader.epoch, loader.position) == (1, 0)


def test_validation_has_one_order(corpus, vocabulary):
    loader = corpus.loader("valid", features=FEATURES, vocabulary=vocabulary)
    assert [batch.ids for batch in loader] == [batch.ids for batch in loader]


def test_a_preview_does_not_consume_batches(corpus, vocabulary):
    loader = corpus.loader("valid", features=FEATURES, vocabulary=vocabulary)
    whole = [batch.ids for batch in loader]
    assert next(iter(loader.preview())).ids == whole[0]
    assert [batch.ids for batch in loader] == whole


def test_ranks_share_an_epoch(corpus, vocabulary):
    loaders = [
        corpus.loader("train", features=(), vocabulary=vocabulary, rank=rank, world_size=3)
        for rank in range(3)
    ]
    ids = [id for loader in loaders for batch in loader for id in batch.ids]
    assert len({len(loader) for loader in loaders}) == 1
    assert sorted(ids) == sorted(u.id for u in corpus.split("train"))


@settings(deadline=None, max_examples=8)
@given(stop=st.integers(0, 25), workers=st.sampled_from([0, 0, 0, 2]))
def test_a_resumed_loader_continues_with_the_next_batch(corpus, vocabulary, stop, workers):
    corpus = changed(corpus, workers=workers)

    def loader():
        return corpus.loader("train", features=FEATURES, vocabulary=vocabulary)

    def forever(loader):
        while True:
            yield from loader

    whole, stopped, resumed = loader(), loader(), loader()
    expected = [batch for batch, _ in zip(forever(whole), range(stop + 10), strict=False)][stop:]
    for _ in zip(range(stop), forever(stopped), strict=False):
        pass
    resumed.load_state_dict(stopped.state_dict())
    for batch, other in zip(expected, forever(resumed), strict=False):
        assert batch.ids == other.ids
        assert torch.equal(batch["waveform"].values, other["waveform"].values)


def test_loading_does_not_use_the_global_generators(corpus, vocabulary):
    before = torch.get_rng_state()
    list(corpus.loader("train", features=FEATURES, vocabulary=vocabulary))
    assert torch.equal(torch.get_rng_state(), before)


def test_an_epoch_restarts_if_the_batches_have_changed(corpus, vocabulary, caplog):
    loader = corpus.loader("train", features=(), vocabulary=vocabulary)
    list(loader)
    next(iter(loader))
    state = loader.state_dict()
    assert (state["epoch"], state["position"]) == (1, 1)
    other = changed(corpus, max_utterances=3).loader("train", features=(), vocabulary=vocabulary)
    with caplog.at_level(logging.WARNING):
        other.load_state_dict(state)
    assert (other.epoch, other.position) == (1, 0)
    assert "restarting epoch" in caplog.text


def test_utterances_outside_the_vocabulary_are_dropped_and_reported(corpus, vocabulary, caplog):
    without = sorted(set(vocabulary.symbols.ids) - {"_", "w"})
    smaller = evolve(vocabulary, symbols=SymbolTable.from_symbols(without, blank="_"))
    with caplog.at_level(logging.WARNING):
        loader = corpus.loader("train", features=FEATURES, vocabulary=smaller)
    left_out = {u.id for u in corpus.split("train") if "w" in u.text}
    assert left_out
    assert set(loader.dropped) == left_out
    assert {why.reason for why in loader.dropped.values()} == {"unknown symbol"}
    assert f"{len(left_out)} of 31 utterances" in caplog.text
    assert left_out.isdisjoint(id for batch in loader for id in batch.ids)


def test_a_split_of_unknown_speakers_is_an_error(corpus, vocabulary):
    with pytest.raises(UserError, match=r"No utterance of the split 'valid'.*unknown speaker 6"):
        corpus.loader("valid", features=(), vocabulary=evolve(vocabulary, speakers=("p1",)))


def test_many_speakers_need_a_vocabulary_with_names(corpus):
    nameless = Vocabulary(symbols=SymbolTable.from_symbols(""))
    with pytest.raises(UserError, match="has 2 speakers"):
        corpus.loader("train", features=(), vocabulary=nameless)


def test_errors_of_batching_say_what_to_change(corpus, vocabulary):
    with pytest.raises(
        UserError, match=r"'golden_test' has no usable utterances.*train 31, valid 6"
    ):
        corpus.loader("golden_test", features=(), vocabulary=vocabulary)
    with pytest.raises(UserError, match="3 utterances that can be used, for 4 ranks"):
        corpus.loader("test", features=(), vocabulary=vocabulary, world_size=4)
    with pytest.raises(UserError, match=r"longer than a batch .* with \d+\.\d s"):
        changed(corpus, max_seconds=1.5).loader("train", features=(), vocabulary=vocabulary)
    with pytest.raises(UserError, match="feature 'f0', which the experiment does not extract"):
        corpus.loader("train", features=("f0",), vocabulary=vocabulary)


def test_a_missing_manifest_or_feature_names_the_command(experiment, tmp_path):
    nowhere = evolve(experiment, data=evolve(experiment.data, directory=str(tmp_path)))
    with pytest.raises(UserError) as caught:
        open_corpus(nowhere)
    assert "allophone prepare" in caught.value.hint
    other = evolve(experiment, text=evolve(experiment.text, normalize=False))
    with pytest.raises(UserError, match="features of 40 of 40 utterances") as caught:
        open_corpus(other)
    assert "allophone extract" in caught.value.hint
