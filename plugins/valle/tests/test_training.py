"""Losses and prompts in training, and fine-tuning a NAR model from an AR model."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from allophone.config import resolve
from allophone.data.batch import Batch, Padded
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.text.symbols import SymbolTable
from allophone.training.ranks import Rank
from allophone.training.runtime import TrainerRuntime
from allophone.weights.files import add_prefix
from allophone_valle.config import PromptMode
from allophone_valle.objective_ar import ValleArObjective
from allophone_valle.objective_nar import ValleNarObjective
from allophone_valle.prompts import PromptDraws, add_prompts
from allophone_valle.training import CodePredictions, score_predictions

SMALL = (
    "model.codec.place=fake",
    "model.ar={channels = 16, layers = 1, heads = 2, feed_forward_channels = 32}",
    "model.nar={channels = 16, layers = 1, heads = 2, feed_forward_channels = 32}",
    "model.bins=64",
)
VOCABULARY = Vocabulary(symbols=SymbolTable.from_symbols("abcdef"))


def objective(stage: str, *overrides: str) -> ValleArObjective | ValleNarObjective:
    resolved = resolve("valle/tiny", [*SMALL, *overrides], stage=stage)
    build = ValleArObjective if stage == "ar" else ValleNarObjective
    return build(resolved.experiment, VOCABULARY)


def make_batch(*lengths: int, codebooks: int = 8) -> Batch:
    codes = torch.zeros(len(lengths), max(lengths), codebooks, dtype=torch.long)
    for row, length in enumerate(lengths):
        codes[row, :length] = torch.randint(64, (length, codebooks))
    text = Padded(
        values=torch.randint(6, (len(lengths), 5)), lengths=torch.full((len(lengths),), 5)
    )
    return Batch(
        ids=tuple(map(str, range(len(lengths)))),
        features={"codes": Padded(values=codes, lengths=torch.tensor(lengths)), "phonemes": text},
        speakers=torch.zeros(len(lengths), dtype=torch.long),
        languages=torch.zeros(len(lengths), dtype=torch.long),
        audio_seconds=1.0,
    )


def test_a_batch_without_targets_has_zero_loss() -> None:
    scores = score_predictions(torch.randn(2, 3, 8), torch.full((2, 3), -100))
    assert float(scores.cross_entropy) == 0.0
    assert {float(value) for value in scores.metrics().values()} == {0.0}


def test_accuracies_depend_on_the_rank_of_the_target() -> None:
    logits = torch.arange(30.0).repeat(3, 1)
    scores: CodePredictions = score_predictions(logits, torch.tensor([29, 20, 19]))
    assert (int(scores.correct), int(scores.top_correct), int(scores.count)) == (1, 2, 3)


@settings(deadline=None, max_examples=50)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    mode=st.sampled_from(["none", "prefix", "segment", "neighbour"]),
    speakers=st.lists(st.integers(0, 1), min_size=4, max_size=4),
    draws=st.lists(st.floats(0, 0.999), min_size=12, max_size=12),
    max_frames=st.integers(1, 12),
)
def test_prompts_are_valid_and_leave_targets(
    lengths: list[int],
    mode: PromptMode,
    speakers: list[int],
    draws: list[float],
    max_frames: int,
) -> None:
    batch = len(lengths)
    codes = torch.zeros(batch, max(lengths), 2, dtype=torch.long)
    for row, length in enumerate(lengths):
        codes[row, :length] = torch.arange(1, length + 1)[:, None] + 100 * row
    numbers = torch.tensor(draws).view(3, 4)[:, :batch]
    example = add_prompts(
        codes,
        torch.tensor(lengths),
        torch.tensor(speakers[:batch]),
        mode=mode,
        max_frames=max_frames,
        draws=PromptDraws(length=numbers[0], position=numbers[1], neighbour=numbers[2]),
    )
    output = example.prompted
    for row, length in enumerate(lengths):
        prompt = int(output.prompt_lengths[row])
        whole = output.codes[row, : output.lengths[row], 0].tolist()
        own = list(range(100 * row + 1, 100 * row + length + 1))
        targets = example.loss_mask[row].nonzero().flatten().tolist()
        assert prompt <= max_frames
        assert targets, "no code has a loss"
        if mode in ("none", "prefix"):
            assert whole == own
            assert prompt <= length // 2 if mode == "prefix" else prompt == 0
            assert targets == list(range(prompt, length))
            continue
        assert whole[prompt:] == own
        prompted = whole[:prompt]
        assert prompted == list(range(prompted[0], prompted[0] + prompt)), (
            "not a contiguous segment"
        )
        source = prompted[0] // 100
        assert speakers[source] == speakers[row]
        alone = mode == "segment" or speakers[:batch].count(speakers[row]) == 1
        assert (source == row) == alone
        revealed = set(prompted) if alone and prompt < length else set()
        assert [whole[index] for index in targets] == [code for code in own if code not in revealed]


def test_codes_with_the_wrong_number_of_codebooks_are_an_error() -> None:
    for stage in ("ar", "nar"):
        one = objective(stage)
        runtime = TrainerRuntime(one, resolve("valle/tiny", stage=stage).experiment.runtime, Rank())
        with pytest.raises(UserError, match="has 8 codebooks"):
            one.eval_step(runtime, make_batch(12, codebooks=4))


def test_validation_is_deterministic_and_averages_all_codebooks() -> None:
    one = objective("nar")
    runtime = TrainerRuntime(one, resolve("valle/tiny", stage="nar").experiment.runtime, Rank())
    batch = make_batch(30, 12)
    with runtime.evaluating():
        first, again = (one.eval_step(runtime, batch) for _ in range(2))
    assert first == again
    each = [first[f"accuracy/codebook_{codebook}"] for codebook in range(2, 9)]
    assert float(first["accuracy"]) == pytest.approx(float(torch.stack(each).mean()))


def test_training_on_very_short_utterances() -> None:
    for stage in ("ar", "nar"):
        one = objective(stage)
        runtime = TrainerRuntime(one, resolve("valle/tiny", stage=stage).experiment.runtime, Rank())
        [metrics] = runtime.take_step([make_batch(1, 2, 3)])
        assert torch.as_tensor(metrics["cross_entropy"]).isfinite()


def test_a_nar_model_can_start_from_the_embeddings_of_an_ar_model() -> None:
    ar, nar = objective("ar"), objective("nar")
    before = nar.modules["nar"].tables.detach().clone()
    adapted = nar.adapt(add_prefix(ar.modules["ar"].state_dict(), "ar"), [])
    assert torch.equal(
        adapted["nar.text_embedding.weight"].tensor, ar.modules["ar"].text_embedding.weight
    )
    tables = adapted["nar.tables"].tensor
    assert torch.equal(tables[0], ar.modules["ar"].code_embedding.weight[:64])
    assert torch.equal(tables[1:], before[1:])
    assert not nar.adapt(add_prefix(nar.modules["nar"].state_dict(), "nar"), [])
    other = objective("nar", "model.nar.channels=32")
    assert not other.adapt(add_prefix(ar.modules["ar"].state_dict(), "ar"), [])
