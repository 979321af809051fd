"""AR decoding: cache, batching, limits and CUDA graphs do not change the codes."""

from __future__ import annotations

import pytest
import torch
from tiny_valle import BINS, SYMBOLS, ar_model, utterances
from torch import Tensor

from allophone_valle import decoding
from allophone_valle.ar import ArModel
from allophone_valle.config import ValleControls
from allophone_valle.decoding import NOISE_STEPS, ArDecoder, ArPrefix, continue_codes
from allophone_valle.sampling import GumbelNoise, sample_codes
from allophone_valle.training import score_predictions

CONTROLS = ValleControls(top_p=0.95)
GROUPS = pytest.mark.parametrize("group", [1, 2, 4])


def prefixes(*sizes: tuple[int, int], min_length: int = 1, max_length: int = 40) -> list[ArPrefix]:
    """Random texts and prompts of these sizes; a row does not depend on the others."""
    rows = []
    for text, frames in sizes:
        generator = torch.Generator().manual_seed(100 * text + frames)
        rows.append(
            ArPrefix(
                text=torch.randint(SYMBOLS, (text,), generator=generator),
                codes=torch.randint(BINS, (frames,), generator=generator),
                min_length=min_length,
                max_length=max_length,
                seed=text,
            )
        )
    return rows


def logits_of(model: ArModel, row: ArPrefix, generated: list[int]) -> Tensor:
    """Logits of the next step without a cache: [G, V]."""
    group = model.config.group_size
    codes = torch.cat(
        [row.codes[len(row.codes) % group :], torch.tensor(generated, dtype=torch.long)]
    )
    inputs = codes.view(1, -1, group)
    if model.config.begin_symbol:
        inputs = torch.nn.functional.pad(inputs, (0, 0, 1, 0), value=model.begin)
    lengths = torch.tensor([inputs.size(1)])
    return model(row.text[None], torch.tensor([len(row.text)]), inputs, lengths)[0, -1]


@torch.inference_mode()
def without_cache(model: ArModel, row: ArPrefix, controls: ValleControls) -> tuple[list[int], bool]:
    """Decode without a cache; returns the codes and whether the end was predicted."""
    group, end = model.config.group_size, model.end
    noise = GumbelNoise([row.seed], group=group, entries=end + 1)
    past = torch.cat([torch.full((controls.repetition_window,), -1), row.codes]).tolist()
    generated: list[int] = []
    while len(generated) < row.max_length and end not in generated:
        if len(generated) % (NOISE_STEPS * group) == 0:
            block = noise.block(NOISE_STEPS)
        logits = logits_of(model, row, generated)
        for index in range(group):
            if len(generated) < row.min_length:
                logits[index, end] = -torch.inf
            window = torch.tensor([(past + generated)[-controls.repetition_window :]])
            step = block[:, len(generated) // group % NOISE_STEPS, index]
            generated.append(
                int(sample_codes(logits[index : index + 1], step, window, controls, end=end))
            )
    ended = end in generated[: row.max_length]
    return (generated[: generated.index(end)] if ended else generated[: row.max_length]), ended


@GROUPS
@pytest.mark.parametrize("begin_symbol", [True, False])
def test_cache_and_batching_do_not_change_the_codes(group: int, begin_symbol: bool) -> None:
    model = ar_model(bins=BINS, large_weights=True, group_size=group, begin_symbol=begin_symbol)
    rows = prefixes((10, 7), (17, 21), (5, 4), max_length=NOISE_STEPS * group + 9)
    batched = continue_codes(model, rows, CONTROLS)
    for row, found in zip(rows, batched, strict=True):
        [alone] = continue_codes(model, [row], CONTROLS)
        assert torch.equal(alone.codes, found.codes)
        assert (found.codes.tolist(), found.ended) == without_cache(model, row, CONTROLS)


@GROUPS
def test_step_logits_match_a_full_forward_pass(group: int) -> None:
    model = ar_model(large_weights=True, group_size=group)
    rows = prefixes((9, 6), (4, 13))
    with torch.inference_mode():
        decoder = ArDecoder(model, rows, CONTROLS)
        decoder.first_step()
        for step in range(1, 6):
            decoder.step()
            past = decoder.history[:, len(decoder.window) :][:, : step * group].tolist()
            # Sampling has set disallowed logits to -inf in place.
            for row, generated, logits in zip(rows, past, decoder.logits, strict=True):
                expected = logits_of(model, row, generated)
                allowed = logits.isfinite()
                assert (logits - expected)[allowed].abs().max() < 1e-5


def test_minimum_and_maximum_length() -> None:
    model = ar_model()
    with torch.no_grad():
        model.transformer.norm.bias.fill_(5.0)
        model.head.weight[model.end] = 1.0
    for minimum, maximum in ((1, 40), (5, 40), (40, 40)):
        rows = prefixes((6, 3), (9, 0), min_length=minimum, max_length=maximum)
        for found in continue_codes(model, rows, CONTROLS):
            assert (len(found.codes), found.ended) == (minimum, minimum < maximum)
            assert int(found.codes.max()) < model.end
    with torch.no_grad():
        model.head.weight[model.end] = -1.0
    rows = [*prefixes((6, 3), max_length=7), *prefixes((9, 0), max_length=12)]
    found = continue_codes(model, rows, CONTROLS)
    assert [(len(one.codes), one.ended) for one in found] == [(7, False), (12, False)]


def test_an_overfitted_utterance_is_reproduced_to_its_end() -> None:
    model = ar_model(bins=1024, channels=128, layers=4, heads=4, feed_forward_channels=512)
    given = utterances([30], [90], bins=1024)
    shifted = model.shift_codes(given.codes[..., 0], given.lengths)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), fused=True)
    model.train()
    for _ in range(60):
        logits = model(given.text, given.text_lengths, shifted.inputs, shifted.lengths)
        predicted = score_predictions(logits, shifted.targets)
        optimizer.zero_grad()
        (predicted.cross_entropy / predicted.count).backward()
        optimizer.step()
    model.eval()
    codes = given.codes[0, :, 0]
    rows = [
        ArPrefix(text=given.text[0], codes=codes[:prompt], min_length=1, max_length=200, seed=0)
        for prompt in (0, 30)
    ]
    for row, found in zip(
        rows, continue_codes(model, rows, ValleControls(temperature=0.0)), strict=True
    ):
        assert found.ended
        assert torch.equal(torch.cat([row.codes, found.codes]), codes)


@GROUPS
def test_static_steps_give_the_same_codes(group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ar_model(large_weights=True, group_size=group)
    rows = prefixes((10, 7), (17, 21), max_length=90)
    expected = continue_codes(model, rows, CONTROLS)
    monkeypatch.setattr(decoding, "capture_cuda_graph", lambda step: step)
    with torch.inference_mode():
        decoder = ArDecoder(model, rows, CONTROLS)
        decoder.static = True
        decoder.run()
    for one, other in zip(decoder.continuations(), expected, strict=True):
        assert (one.codes.tolist(), one.ended) == (other.codes.tolist(), other.ended)


@pytest.mark.gpu
def test_cuda_graph_gives_the_same_codes_as_the_cpu() -> None:
    model = ar_model(large_weights=True)
    rows = prefixes((10, 7), (17, 21), max_length=60)
    on_cpu = continue_codes(model, rows, CONTROLS)
    on_gpu = continue_codes(
        model.cuda(),
        [
            ArPrefix(
                text=row.text.cuda(),
                codes=row.codes.cuda(),
                min_length=row.min_length,
                max_length=row.max_length,
                seed=row.seed,
            )
            for row in rows
        ],
        CONTROLS,
    )
    for expected, found in zip(on_cpu, on_gpu, strict=True):
        assert torch.equal(found.codes.cpu(), expected.codes)
