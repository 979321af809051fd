"""AR and NAR models: dependencies, padding, initialization and overfitting."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from attrs import evolve
from tiny_valle import BINS, CODEBOOKS, Utterances, ar_model, nar_model, utterances
from torch import Tensor, nn

from allophone_valle.ar import IGNORE_INDEX, ArModel
from allophone_valle.config import PromptMode
from allophone_valle.nar import NarModel
from allophone_valle.nar_decoding import NarInput, predict_codebooks
from allophone_valle.prompts import PromptDraws, add_prompts
from allophone_valle.training import CodePredictions, score_predictions

EXACT = 1e-5


def ar_logits(model: ArModel, given: Utterances) -> Tensor:
    shifted = model.shift_codes(given.codes[..., 0], given.lengths)
    return model(given.text, given.text_lengths, shifted.inputs, shifted.lengths)


def score_ar(model: ArModel, given: Utterances) -> CodePredictions:
    return score_predictions(
        ar_logits(model, given), model.shift_codes(given.codes[..., 0], given.lengths).targets
    )


def score_nar(
    model: NarModel, given: Utterances, stages: Tensor, draws: PromptDraws, max_frames: int = 225
) -> CodePredictions:
    example = add_prompts(
        given.codes,
        given.lengths,
        torch.zeros(len(given.codes)),
        mode=model.config.prompt,
        max_frames=max_frames,
        draws=draws,
    )
    logits = model(given.text, given.text_lengths, example.prompted, stages)
    targets = example.prompted.codes.gather(
        2, stages[:, None, None].expand(-1, example.prompted.codes.size(1), 1)
    ).squeeze(2)
    return score_predictions(logits, targets.masked_fill(~example.loss_mask, IGNORE_INDEX))


def row(given: Utterances, index: int) -> Utterances:
    """One utterance without padding."""
    text, frames = int(given.text_lengths[index]), int(given.lengths[index])
    return Utterances(
        text=given.text[index : index + 1, :text],
        text_lengths=given.text_lengths[index : index + 1],
        codes=given.codes[index : index + 1, :frames],
        lengths=given.lengths[index : index + 1],
    )


@pytest.mark.parametrize("group", [1, 2, 4])
def test_ar_logits_depend_on_text_and_previous_codes(group: int) -> None:
    model = ar_model(large_weights=True, group_size=group)
    given = utterances([12], [32])
    before = ar_logits(model, given).detach()
    changed = given.codes.clone()
    changed[0, 16, 0] = (changed[0, 16, 0] + 1) % BINS
    after = ar_logits(model, evolve(given, codes=changed))
    difference = (after - before).abs().amax((0, 2, 3))
    step = 16 // group + 1  # The step whose input it is.
    assert not difference[:step].any()
    assert difference[step:].min() > 0
    text = given.text.clone()
    text[0, -1] = (text[0, -1] + 1) % 40
    after = ar_logits(model, evolve(given, text=text))
    assert (after - before).abs().amax((0, 2, 3)).min() > 0


def test_text_does_not_attend_to_codes() -> None:
    model = ar_model(large_weights=True)
    outputs: list[Tensor] = []
    model.transformer.blocks[-1].register_forward_hook(lambda *call: outputs.append(call[2]))
    given = utterances([12], [20])
    ar_logits(model, given)
    ar_logits(model, evolve(given, codes=given.codes.flip(1)))
    assert torch.equal(outputs[0][:, :12], outputs[1][:, :12])
    assert not torch.equal(outputs[0][:, 12:], outputs[1][:, 12:])


def test_nar_logits_depend_on_lower_codebooks_and_the_prompt() -> None:
    model = nar_model(large_weights=True)
    given, stage = utterances([12], [20]), 3
    draws = PromptDraws.fixed(1)

    def logits(codes: Tensor) -> Tensor:
        example = add_prompts(
            codes, given.lengths, torch.zeros(1), mode="prefix", max_frames=5, draws=draws
        )
        return model(given.text, given.text_lengths, example.prompted, torch.tensor([stage]))

    before = logits(given.codes)
    for frame, codebook, matters in (
        (15, 0, True),
        (15, stage - 1, True),
        (15, stage, False),
        (15, CODEBOOKS - 1, False),
        (4, stage, True),
        (4, CODEBOOKS - 1, True),
        (5, CODEBOOKS - 1, False),
    ):
        changed = given.codes.clone()
        changed[0, frame, codebook] = (changed[0, frame, codebook] + 1) % BINS
        difference = (logits(changed) - before).abs().amax((0, 2))
        for side in (difference[:frame], difference[frame + 1 :]):
            assert bool(side.any()) == matters, f"codebook {codebook} of frame {frame}"


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize("begin_symbol", [True, False])
def test_padding_has_no_effect_on_the_ar_loss(group: int, begin_symbol: bool) -> None:
    model = ar_model(large_weights=True, group_size=group, begin_symbol=begin_symbol)
    given = utterances([12, 7, 9], [31, 8, 17])
    batched = score_ar(model, given)
    alone = [score_ar(model, row(given, index)) for index in range(3)]
    for name in ("cross_entropy", "correct", "top_correct", "count"):
        summed = float(torch.stack([getattr(each, name).detach() for each in alone]).sum())
        assert float(getattr(batched, name).detach()) == pytest.approx(summed, rel=EXACT), name
    # One target per code and one end symbol per utterance.
    without_target = 0 if begin_symbol else 3 * group
    assert int(batched.count) == 31 + 8 + 17 + 3 - without_target


@pytest.mark.parametrize("mode", ["none", "prefix", "segment"])
def test_padding_has_no_effect_on_the_nar_loss(mode: PromptMode) -> None:
    model = nar_model(large_weights=True, prompt=mode)
    given = utterances([12, 7, 9], [31, 8, 17])
    stages = torch.tensor([1, 4, 7])
    draws = PromptDraws.fixed(1)
    batched = score_nar(model, given, stages, PromptDraws.fixed(3))
    alone = [score_nar(model, row(given, i), stages[i : i + 1], draws) for i in range(3)]
    for name in ("cross_entropy", "correct", "top_correct", "count"):
        summed = float(torch.stack([getattr(each, name).detach() for each in alone]).sum())
        assert float(getattr(batched, name).detach()) == pytest.approx(summed, rel=EXACT), name


@pytest.mark.parametrize("bins", [64, 1024])
def test_initial_losses_match_a_uniform_prediction(bins: int) -> None:
    given = utterances([30, 20], [90, 60], bins=bins)
    sizes = {"channels": 128, "feed_forward_channels": 256}
    first = score_ar(ar_model(bins=bins, **sizes), given).metrics()["cross_entropy"]
    assert float(first.detach()) == pytest.approx(math.log(bins + 1), abs=0.1)
    model = nar_model(bins=bins, **sizes)
    for stage in range(1, CODEBOOKS):
        stages = torch.full((2,), stage)
        others = score_nar(model, given, stages, PromptDraws.fixed(2)).metrics()
        assert float(others["cross_entropy"].detach()) == pytest.approx(math.log(bins), abs=0.1), (
            stage
        )


def test_output_layers_are_tied_to_the_next_embedding() -> None:
    model = nar_model()
    given = utterances([5], [8])
    for stage in range(1, CODEBOOKS):
        model.zero_grad()
        score_nar(
            model, given, torch.tensor([stage]), PromptDraws.fixed(1)
        ).cross_entropy.backward()
        used = model.tables.grad.flatten(1).count_nonzero(1).nonzero().flatten().tolist()
        # The prompt embeds every codebook.
        assert used == list(range(CODEBOOKS)) + [CODEBOOKS] * (stage == CODEBOOKS - 1)
        assert model.tables.grad[stage + 1].count_nonzero(1).min() > 0, (
            "the output layer covers all entries"
        )


def learn(
    model: nn.Module, loss: Callable[[], CodePredictions], *, steps: int, rate: float = 3e-3
) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.95), fused=True)
    model.train()
    for _ in range(steps):
        predicted = loss()
        optimizer.zero_grad()
        (predicted.cross_entropy / predicted.count).backward()
        optimizer.step()
    model.eval()


@pytest.mark.parametrize("mode", ["prefix", "segment"])
def test_the_nar_model_overfits_an_utterance(mode: PromptMode) -> None:
    torch.manual_seed(0)
    model = nar_model(channels=64, heads=4, feed_forward_channels=256, prompt=mode)
    given = utterances([10], [40])

    def loss() -> CodePredictions:
        stages = torch.randint(1, CODEBOOKS, (4,))
        four = Utterances(
            text=given.text.expand(4, -1),
            text_lengths=given.text_lengths.expand(4),
            codes=given.codes.expand(4, -1, -1),
            lengths=given.lengths.expand(4),
        )
        return score_nar(model, four, stages, PromptDraws.random(4), max_frames=20)

    learn(model, loss, steps=200)
    codes = given.codes[0]
    prompt = codes[:12] if mode == "prefix" else codes[20:30]
    nar_input = NarInput(
        text=given.text[0],
        known=prompt,
        prompt_length=len(prompt),
        first_codebook=codes[len(prompt) :, 0] if mode == "prefix" else codes[:, 0],
    )
    [predicted] = predict_codebooks(model, [nar_input])
    assert torch.equal(predicted, codes[-len(predicted) :])
