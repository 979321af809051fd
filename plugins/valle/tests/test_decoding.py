"""Decoding with a cache is decoding without, in a batch as alone, and ends as it should."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from valle_toys import BINS, SYMBOLS, ar_model, utterances

from allophone_valle import decoding
from allophone_valle.ar import ArModel
from allophone_valle.config import ValleControls
from allophone_valle.decoding import NOISE_STEPS, ArPrefix, Decoder, continue_codes
from allophone_valle.sampling import Noise, draw
from allophone_valle.training import score_predictions

CONTROLS = ValleControls(top_p=0.95)
GROUPS = pytest.mark.parametrize("group", [1, 2, 4])


def prefixes(*sizes: tuple[int, int], least: int = 1, most: int = 40) -> list[ArPrefix]:
    """Texts and prompts of these sizes; a row is the same whatever the others are."""
    rows = []
    for text, frames in sizes:
        generator = torch.Generator().manual_seed(100 * text + frames)
        rows.append(
            ArPrefix(
                text=torch.randint(SYMBOLS, (text,), generator=generator),
                codes=torch.randint(BINS, (frames,), generator=generator),
                least=least,
                most=most,
                seed=text,
            )
        )
    return rows


def logits_of(model: ArModel, row: ArPrefix, said: list[int]) -> Tensor:
    """What follows, computed anew from the whole past: [G, V]."""
    group = model.config.group_size
    codes = torch.cat([row.codes[len(row.codes) % group :], torch.tensor(said, dtype=torch.long)])
    inputs = codes.view(1, -1, group)
    if model.config.begin_symbol:
        inputs = torch.nn.functional.pad(inputs, (0, 0, 1, 0), value=model.begin)
    lengths = torch.tensor([inputs.size(1)])
    return model(row.text[None], torch.tensor([len(row.text)]), inputs, lengths)[0, -1]


@torch.inference_mode()
def without_cache(model: ArModel, row: ArPrefix, controls: ValleControls) -> tuple[list[int], bool]:
    """The codes that follow, each from the whole past, and whether they ended."""
    group, end = model.config.group_size, model.end
    noise = Noise([row.seed], group=group, entries=end + 1)
    past = torch.cat([torch.full((controls.repetition_window,), -1), row.codes]).tolist()
    said: list[int] = []
    while len(said) < row.most and end not in said:
        if len(said) % (NOISE_STEPS * group) == 0:
            block = noise.block(NOISE_STEPS)
        logits = logits_of(model, row, said)
        for index in range(group):
            if len(said) < row.least:
                logits[index, end] = -torch.inf
            window = torch.tensor([(past + said)[-controls.repetition_window :]])
            step = block[:, len(said) // group % NOISE_STEPS, index]
            said.append(int(draw(logits[index : index + 1], step, window, controls, end=end)))
    ended = end in said[: row.most]
    return (said[: said.index(end)] if ended else said[: row.most]), ended


@GROUPS
@pytest.mark.parametrize("begin_symbol", [True, False])
def test_a_cache_changes_no_code(group: int, begin_symbol: bool) -> None:
    model = ar_model(bins=BINS, outspoken=True, group_size=group, begin_symbol=begin_symbol)
    rows = prefixes((10, 7), (17, 21), (5, 4), most=NOISE_STEPS * group + 9)
    together = continue_codes(model, rows, CONTROLS)
    for row, found in zip(rows, together, strict=True):
        [alone] = continue_codes(model, [row], CONTROLS)
        assert torch.equal(alone.codes, found.codes)
        assert (found.codes.tolist(), found.ended) == without_cache(model, row, CONTROLS)


@GROUPS
def test_a_step_predicts_what_the_whole_does(group: int) -> None:
    model = ar_model(outspoken=True, group_size=group)
    rows = prefixes((9, 6), (4, 13))
    with torch.inference_mode():
        decoder = Decoder(model, rows, CONTROLS)
        decoder.begin()
        for step in range(1, 6):
            decoder.step()
            past = decoder.history[:, len(decoder.window) :][:, : step * group].tolist()
            # The decoder has drawn from these already, which leaves what is allowed as it was.
            for row, said, logits in zip(rows, past, decoder.logits, strict=True):
                whole = logits_of(model, row, said)
                allowed = logits.isfinite()
                assert (logits - whole)[allowed].abs().max() < 1e-5


def test_no_end_before_the_least_and_no_code_after_the_most() -> None:
    model = ar_model()
    with torch.no_grad():
        model.transformer.norm.bias.fill_(5.0)
        model.head.weight[model.end] = 1.0
    for least, most in ((1, 40), (5, 40), (40, 40)):
        rows = prefixes((6, 3), (9, 0), least=least, most=most)
        for found in continue_codes(model, rows, CONTROLS):
            assert (len(found.codes), found.ended) == (least, least < most)
            assert int(found.codes.max()) < model.end
    with torch.no_grad():
        model.head.weight[model.end] = -1.0
    rows = [*prefixes((6, 3), most=7), *prefixes((9, 0), most=12)]
    found = continue_codes(model, rows, CONTROLS)
    assert [(len(one.codes), one.ended) for one in found] == [(7, False), (12, False)]


def test_an_utterance_learned_by_heart_is_said_to_its_end() -> None:
    model = ar_model(bins=1024, channels=128, layers=4, heads=4, feed_forward_channels=512)
    given = utterances([30], [90], bins=1024)
    steps = model.steps(given.codes[..., 0], given.lengths)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), fused=True)
    model.train()
    for _ in range(60):
        logits = model(given.text, given.text_lengths, steps.inputs, steps.lengths)
        predicted = score_predictions(logits, steps.targets)
        optimizer.zero_grad()
        (predicted.cross_entropy / predicted.count).backward()
        optimizer.step()
    model.eval()
    codes = given.codes[0, :, 0]
    rows = [
        ArPrefix(text=given.text[0], codes=codes[:begun], least=1, most=200, seed=0)
        for begun in (0, 30)
    ]
    for row, found in zip(
        rows, continue_codes(model, rows, ValleControls(temperature=0.0)), strict=True
    ):
        assert found.ended
        assert torch.equal(torch.cat([row.codes, found.codes]), codes)


@GROUPS
def test_steps_that_a_graph_could_capture_draw_the_same(
    group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ar_model(outspoken=True, group_size=group)
    rows = prefixes((10, 7), (17, 21), most=90)
    expected = continue_codes(model, rows, CONTROLS)
    monkeypatch.setattr(decoding, "capture_cuda_graph", lambda step: step)
    with torch.inference_mode():
        decoder = Decoder(model, rows, CONTROLS)
        decoder.static = True
        decoder.run()
    for one, other in zip(decoder.continuations(), expected, strict=True):
        assert (one.codes.tolist(), one.ended) == (other.codes.tolist(), other.ended)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_captured_step_draws_what_an_uncaptured_one_does() -> None:
    model = ar_model(outspoken=True)
    rows = prefixes((10, 7), (17, 21), most=60)
    on_cpu = continue_codes(model, rows, CONTROLS)
    on_gpu = continue_codes(
        model.cuda(),
        [
            ArPrefix(
                text=row.text.cuda(),
                codes=row.codes.cuda(),
                least=row.least,
                most=row.most,
                seed=row.seed,
            )
            for row in rows
        ],
        CONTROLS,
    )
    for expected, found in zip(on_cpu, on_gpu, strict=True):
        assert torch.equal(found.codes.cpu(), expected.codes)
