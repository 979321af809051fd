"""The models compute what the reference computes, to rounding.

The numbers in data/reference.npz were computed once by github.com/lifeiteng/vall-e, whose network Amphion
has taken over name by name: in float32 on a CPU, in eval mode, with 2 layers, 2 heads, 16 channels, 20
symbols and codebooks of 32 entries; the weights of `filled`, and one utterance of 9 ids and 24 frames, so
that nothing is padded (it counts padding in the first codebook's loss). `train_stage` 1 and 2 gave the
logits, as its last layers were given, and the losses. What it draws was fixed: the stages are those of
the keys; a prefix has 10 frames; a segment has 6, from the 8th on; a neighbour is `prompt`. Weights are
not stored: each is drawn anew from its own name.

B batch, T text, F frames, Q codebooks.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from allophone.foreign.tensors import place
from allophone.testing.parity import Golden, golden_fixture, normal
from allophone.weights import add_prefix, strip_prefix
from allophone_valle.ar import IGNORED, ArModel
from allophone_valle.config import ArConfig, NarConfig, PromptMode, TransformerConfig
from allophone_valle.importers.names import reference_name, stacked
from allophone_valle.nar import NarModel, PromptedCodes
from allophone_valle.training import score_predictions

golden = golden_fixture(Path(__file__).parent / "data" / "reference.npz")
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}
SYMBOLS, BINS, CODEBOOKS, CHANNELS, INNER = 20, 32, 8, 16, 64
SIZES = {"channels": CHANNELS, "layers": 2, "heads": 2, "feed_forward_channels": INNER}
PREFIX, SEGMENT = 10, slice(8, 14)
MODES: dict[PromptMode, int] = {"none": 0, "prefix": 1, "segment": 2, "neighbour": 4}


def filled(name: str, shape: tuple[int, ...]) -> Tensor:
    """The weight that the reference calls `name`: normal; norms around one; the NAR's positions as they are."""
    if name.startswith("nar_") and name.endswith("alpha"):
        return torch.ones(shape)
    draw = normal(name, shape)
    draw *= 0.3 if len(shape) > 1 else 0.1
    if name.endswith(("norm.weight", "norm1.weight", "norm2.weight", "alpha")):
        draw += 1
    return torch.tensor(draw, dtype=torch.float32)


def reference_state(*, begin_symbol: bool) -> dict[str, Tensor]:
    """What a checkpoint of the reference holds, at these sizes."""
    shapes: dict[str, tuple[int, ...]] = {
        "ar_text_embedding.word_embeddings.weight": (SYMBOLS, CHANNELS),
        "nar_text_embedding.word_embeddings.weight": (SYMBOLS, CHANNELS),
        "ar_audio_embedding.word_embeddings.weight": (BINS + 1 + begin_symbol, CHANNELS),
        "ar_predict_layer.weight": (BINS + 1, CHANNELS),
        "nar_predict_layers.6.weight": (BINS, CHANNELS),
    }
    for model, norm in (("ar", ""), ("nar", "norm.")):
        for layer in range(2):
            start = f"{model}_decoder.layers.{layer}"
            shapes |= {
                f"{start}.self_attn.in_proj_weight": (3 * CHANNELS, CHANNELS),
                f"{start}.self_attn.in_proj_bias": (3 * CHANNELS,),
                f"{start}.self_attn.out_proj.weight": (CHANNELS, CHANNELS),
                f"{start}.self_attn.out_proj.bias": (CHANNELS,),
                f"{start}.linear1.weight": (INNER, CHANNELS),
                f"{start}.linear1.bias": (INNER,),
                f"{start}.linear2.weight": (CHANNELS, INNER),
                f"{start}.linear2.bias": (CHANNELS,),
            }
        norms = [f"{model}_decoder.layers.{layer}.norm{n}" for layer in range(2) for n in (1, 2)]
        for start in (*norms, f"{model}_decoder.norm"):
            shapes |= {f"{start}.{norm}{part}": (CHANNELS,) for part in ("weight", "bias")}
            if norm:
                shapes[f"{start}.project_layer.weight"] = (2 * CHANNELS, CHANNELS)
                shapes[f"{start}.project_layer.bias"] = (2 * CHANNELS,)
        for part in ("text", "audio"):
            shapes[f"{model}_{part}_position.alpha"] = (1,)
    for codebook in range(CODEBOOKS):
        rows = BINS + (codebook == 0)
        shapes[f"nar_audio_embeddings.{codebook}.word_embeddings.weight"] = (rows, CHANNELS)
    for stage in range(CODEBOOKS - 1):
        shapes[f"nar_stage_embeddings.{stage}.word_embeddings.weight"] = (1, CHANNELS)
    state = {name: filled(name, shape) for name, shape in shapes.items()}
    for head in range(CODEBOOKS - 2):
        tied = state[f"nar_audio_embeddings.{head + 2}.word_embeddings.weight"]
        state[f"nar_predict_layers.{head}.weight"] = tied
    return state


def loaded(model: nn.Module, name: str, *, begin_symbol: bool = True) -> nn.Module:
    state = stacked(reference_state(begin_symbol=begin_symbol))
    wanted = add_prefix(model.state_dict(), name)
    given = {key: value for key, value in state.items() if key.startswith(f"{name}_")}
    model.load_state_dict(strip_prefix(place(given, wanted, reference_name), name))
    return model.eval()


def text_of(golden: Golden) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(golden["text"])[None], torch.tensor([len(golden["text"])])


@pytest.mark.parametrize("begin_symbol", [True, False])
def test_the_first_codebook_is_predicted_as_the_reference_does(
    begin_symbol: bool, golden: Golden
) -> None:
    config = ArConfig(**SIZES, begin_symbol=begin_symbol)
    model = loaded(
        ArModel(config, vocabulary_size=SYMBOLS, bins=BINS), "ar", begin_symbol=begin_symbol
    )
    codes = torch.from_numpy(golden["codes"])[None, :, 0]
    steps = model.steps(codes, torch.tensor([codes.size(1)]))
    with torch.no_grad():
        logits = model(*text_of(golden), steps.inputs, steps.lengths)
    expected = torch.from_numpy(golden[f"bos{int(begin_symbol)}_ar_logits"])
    assert expected.std() > 0.2
    torch.testing.assert_close(logits[0, :, 0], expected, **TOLERANCE)
    loss = float(score_predictions(logits, steps.targets).cross_entropy)
    assert loss == pytest.approx(float(golden[f"bos{int(begin_symbol)}_ar_loss"]), rel=1e-4)


@pytest.mark.parametrize("stage", [1, 4, 7])
@pytest.mark.parametrize("mode", MODES)
def test_the_others_are_predicted_as_the_reference_does(
    mode: PromptMode, stage: int, golden: Golden
) -> None:
    config = NarConfig(**SIZES, prompt=mode)
    model = loaded(NarModel(config, vocabulary_size=SYMBOLS, codebooks=CODEBOOKS, bins=BINS), "nar")
    codes = torch.from_numpy(golden["codes"])
    before = {
        "none": codes[:0],
        "prefix": codes[:0],
        "segment": codes[SEGMENT],
        "neighbour": torch.from_numpy(golden["prompt"]),
    }[mode]
    whole = torch.cat([before, codes])
    prompt = PREFIX if mode == "prefix" else len(before)
    spoken = PromptedCodes(
        codes=whole[None], lengths=torch.tensor([len(whole)]), prompt_lengths=torch.tensor([prompt])
    )
    with torch.no_grad():
        logits = model(*text_of(golden), spoken, torch.tensor([stage]))[:, prompt:]
    key = f"bos1_mode{MODES[mode]}_stage{stage}"
    expected = torch.from_numpy(golden[f"{key}_nar_logits"])
    assert expected.std() > 0.2
    torch.testing.assert_close(logits[0], expected, **TOLERANCE)

    targets = whole[prompt:, stage].clone()
    if mode == "segment":
        targets[SEGMENT] = IGNORED
    loss = float(score_predictions(logits, targets[None]).cross_entropy)
    # It counts as many codes as the utterance has, whatever of them its prompt gives away.
    given_away = {"prefix": PREFIX, "segment": len(before)}.get(mode, 0)
    loss *= len(codes) / (len(codes) - given_away)
    assert loss == pytest.approx(float(golden[f"{key}_nar_loss"]), rel=1e-4)


def test_the_published_size_has_as_many_parameters() -> None:
    config = TransformerConfig()
    with torch.device("meta"):
        ar = ArModel(ArConfig(begin_symbol=False), vocabulary_size=512, bins=1024)
        nar = NarModel(NarConfig(), vocabulary_size=512, codebooks=8, bins=1024)
    counts = [sum(p.numel() for p in model.parameters()) for model in (ar, nar)]
    # Of each table of its 372 tensors but one row, which it has for padding, 367.4 million.
    assert [round(count / 1e6, 1) for count in counts] == [153.8, 213.6]
    assert config.channels == 1024
