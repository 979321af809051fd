"""What the two networks promise: what they look at, what counts, how they begin, that they can learn."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from attrs import evolve
from torch import Tensor, nn
from valle_toys import BINS, CODEBOOKS, Utterances, ar_model, nar_model, utterances

from allophone_valle.ar import IGNORED, ArModel
from allophone_valle.config import PromptMode
from allophone_valle.nar import NarModel
from allophone_valle.nar_decoding import NarInput, predict_codebooks
from allophone_valle.prompts import PromptDraws, with_prompts
from allophone_valle.training import CodePredictions, score_predictions

EXACT = 1e-5


def ar_logits(model: ArModel, given: Utterances) -> Tensor:
    steps = model.steps(given.codes[..., 0], given.lengths)
    return model(given.text, given.text_lengths, steps.inputs, steps.lengths)


def ar_predicted(model: ArModel, given: Utterances) -> CodePredictions:
    return score_predictions(
        ar_logits(model, given), model.steps(given.codes[..., 0], given.lengths).targets
    )


def nar_predicted(
    model: NarModel, given: Utterances, stages: Tensor, draws: PromptDraws, longest: int = 225
) -> CodePredictions:
    example = with_prompts(
        given.codes,
        given.lengths,
        torch.zeros(len(given.codes)),
        mode=model.config.prompt,
        longest=longest,
        draws=draws,
    )
    logits = model(given.text, given.text_lengths, example.prompted, stages)
    targets = example.prompted.codes.gather(
        2, stages[:, None, None].expand(-1, example.prompted.codes.size(1), 1)
    ).squeeze(2)
    return score_predictions(logits, targets.masked_fill(~example.counted, IGNORED))


def row(given: Utterances, index: int) -> Utterances:
    """One utterance by itself, without padding."""
    text, frames = int(given.text_lengths[index]), int(given.lengths[index])
    return Utterances(
        text=given.text[index : index + 1, :text],
        text_lengths=given.text_lengths[index : index + 1],
        codes=given.codes[index : index + 1, :frames],
        lengths=given.lengths[index : index + 1],
    )


@pytest.mark.parametrize("group", [1, 2, 4])
def test_a_code_depends_on_the_text_and_on_what_was_said_before(group: int) -> None:
    model = ar_model(outspoken=True, group_size=group)
    given = utterances([12], [32])
    before = ar_logits(model, given).detach()
    changed = given.codes.clone()
    changed[0, 16, 0] = (changed[0, 16, 0] + 1) % BINS
    after = ar_logits(model, evolve(given, codes=changed))
    apart = (after - before).abs().amax((0, 2, 3))
    step = 16 // group + 1  # The step that is given it.
    assert not apart[:step].any()
    assert apart[step:].min() > 0
    text = given.text.clone()
    text[0, -1] = (text[0, -1] + 1) % 40
    spoken = ar_logits(model, evolve(given, text=text))
    assert (spoken - before).abs().amax((0, 2, 3)).min() > 0


def test_text_does_not_look_at_what_is_said() -> None:
    model = ar_model(outspoken=True)
    seen: list[Tensor] = []
    model.transformer.blocks[-1].register_forward_hook(lambda *call: seen.append(call[2]))
    given = utterances([12], [20])
    ar_logits(model, given)
    ar_logits(model, evolve(given, codes=given.codes.flip(1)))
    assert torch.equal(seen[0][:, :12], seen[1][:, :12])
    assert not torch.equal(seen[0][:, 12:], seen[1][:, 12:])


def test_a_codebook_depends_on_those_below_it_all_around_and_on_the_prompt() -> None:
    model = nar_model(outspoken=True)
    given, stage = utterances([12], [20]), 3
    draws = PromptDraws.fixed(1)

    def logits(codes: Tensor) -> Tensor:
        example = with_prompts(
            codes, given.lengths, torch.zeros(1), mode="prefix", longest=5, draws=draws
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
        apart = (logits(changed) - before).abs().amax((0, 2))
        for side in (apart[:frame], apart[frame + 1 :]):
            assert bool(side.any()) == matters, f"codebook {codebook} of frame {frame}"


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize("begin_symbol", [True, False])
def test_padding_counts_for_nothing_in_the_first_codebook(group: int, begin_symbol: bool) -> None:
    model = ar_model(outspoken=True, group_size=group, begin_symbol=begin_symbol)
    given = utterances([12, 7, 9], [31, 8, 17])
    together = ar_predicted(model, given)
    alone = [ar_predicted(model, row(given, index)) for index in range(3)]
    for name in ("cross_entropy", "right", "near", "count"):
        summed = float(torch.stack([getattr(each, name).detach() for each in alone]).sum())
        assert float(getattr(together, name).detach()) == pytest.approx(summed, rel=EXACT), name
    # Each code counts once, and one end for each utterance.
    uncounted = 0 if begin_symbol else 3 * group
    assert int(together.count) == 31 + 8 + 17 + 3 - uncounted


@pytest.mark.parametrize("mode", ["none", "prefix", "segment"])
def test_padding_counts_for_nothing_in_the_others(mode: PromptMode) -> None:
    model = nar_model(outspoken=True, prompt=mode)
    given = utterances([12, 7, 9], [31, 8, 17])
    stages = torch.tensor([1, 4, 7])
    draws = PromptDraws.fixed(1)
    together = nar_predicted(model, given, stages, PromptDraws.fixed(3))
    alone = [nar_predicted(model, row(given, i), stages[i : i + 1], draws) for i in range(3)]
    for name in ("cross_entropy", "right", "near", "count"):
        summed = float(torch.stack([getattr(each, name).detach() for each in alone]).sum())
        assert float(getattr(together, name).detach()) == pytest.approx(summed, rel=EXACT), name


@pytest.mark.parametrize("bins", [64, 1024])
def test_the_first_losses_are_those_of_chance(bins: int) -> None:
    given = utterances([30, 20], [90, 60], bins=bins)
    sizes = {"channels": 128, "feed_forward_channels": 256}
    first = ar_predicted(ar_model(bins=bins, **sizes), given).metrics()["cross_entropy"]
    assert float(first.detach()) == pytest.approx(math.log(bins + 1), abs=0.1)
    model = nar_model(bins=bins, **sizes)
    for stage in range(1, CODEBOOKS):
        stages = torch.full((2,), stage)
        others = nar_predicted(model, given, stages, PromptDraws.fixed(2)).metrics()
        assert float(others["cross_entropy"].detach()) == pytest.approx(math.log(bins), abs=0.1), (
            stage
        )


def test_codebooks_are_predicted_with_the_embedding_of_the_next() -> None:
    model = nar_model()
    given = utterances([5], [8])
    for stage in range(1, CODEBOOKS):
        model.zero_grad()
        nar_predicted(
            model, given, torch.tensor([stage]), PromptDraws.fixed(1)
        ).cross_entropy.backward()
        used = model.tables.grad.flatten(1).count_nonzero(1).nonzero().flatten().tolist()
        # In its prompt every codebook is heard.
        assert used == list(range(CODEBOOKS)) + [CODEBOOKS] * (stage == CODEBOOKS - 1)
        assert model.tables.grad[stage + 1].count_nonzero(1).min() > 0, "a head reaches all entries"


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
def test_the_others_can_be_learned_by_heart(mode: PromptMode) -> None:
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
        return nar_predicted(model, four, stages, PromptDraws.random(4), longest=20)

    learn(model, loss, steps=200)
    codes = given.codes[0]
    prompt = codes[:12] if mode == "prefix" else codes[20:30]
    nar_input = NarInput(
        text=given.text[0],
        known=prompt,
        prompt_length=len(prompt),
        first=codes[len(prompt) :, 0] if mode == "prefix" else codes[:, 0],
    )
    [said] = predict_codebooks(model, [nar_input])
    assert torch.equal(said, codes[-len(said) :])
