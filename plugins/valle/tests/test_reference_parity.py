"""The models match the reference implementation numerically.

data/reference.npz was computed with github.com/lifeiteng/vall-e, whose network Amphion uses unchanged, in
float32 on a CPU and in eval mode, with 2 layers, 2 heads, 16 channels, 20 symbols and codebooks of 32 entries.
The weights are those of `generated_weight`. The input is one utterance of 9 ids and 24 frames, so there is no
padding, which the reference includes in the loss of the first codebook. `train_stage` 1 and 2 gave the losses
and, as inputs of the last layers, the logits. Random choices were fixed: stages as in the keys; a prefix of 10
frames; a segment of 6 frames from the 8th on; the neighbour is `prompt`. Weights are not stored; each is
generated from its name.

Legend: B batch, T text, F frames, Q codebooks.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from allophone.foreign.tensors import convert_state_dict
from allophone.weights.files import add_prefix, strip_prefix
from allophone_testing.parity import Golden, golden_fixture, normal
from allophone_valle.ar import IGNORE_INDEX, ArModel
from allophone_valle.config import ArConfig, NarConfig, PromptMode, TransformerConfig
from allophone_valle.importers.names import reference_name, stack_codebooks
from allophone_valle.nar import NarModel, PromptedCodes
from allophone_valle.training import score_predictions

golden = golden_fixture(Path(__file__).parent / "data" / "reference.npz")
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}
SYMBOLS, BINS, CODEBOOKS, CHANNELS, INNER = 20, 32, 8, 16, 64
SIZES = {"channels": CHANNELS, "layers": 2, "heads": 2, "feed_forward_channels": INNER}
PREFIX, SEGMENT = 10, slice(8, 14)
MODES: dict[PromptMode, int] = {"none": 0, "prefix": 1, "segment": 2, "neighbour": 4}


def generated_weight(name: str, shape: tuple[int, ...]) -> Tensor:
    """Generate a weight from the reference's name: normal, norms around 1, NAR position scales exactly 1."""
    if name.startswith("nar_") and name.endswith("alpha"):
        return torch.ones(shape)
    draw = normal(name, shape)
    draw *= 0.3 if len(shape) > 1 else 0.1
    if name.endswith(("norm.weight", "norm1.weight", "norm2.weight", "alpha")):
        draw += 1
    return torch.tensor(draw, dtype=torch.float32)


def reference_state(*, begin_symbol: bool) -> dict[str, Tensor]:
    """State of a checkpoint of the reference with these sizes."""
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
    state = {name: generated_weight(name, shape) for name, shape in shapes.items()}
    for head in range(CODEBOOKS - 2):
        tied = state[f"nar_audio_embeddings.{head + 2}.word_embeddings.weight"]
        state[f"nar_predict_layers.{head}.weight"] = tied
    return state


def loaded(model: nn.Module, name: str, *, begin_symbol: bool = True) -> nn.Module:
    state = stack_codebooks(reference_state(begin_symbol=begin_symbol))
    expected = add_prefix(model.state_dict(), name)
    given = {key: value for key, value in state.items() if key.startswith(f"{name}_")}
    model.load_state_dict(strip_prefix(convert_state_dict(given, expected, reference_name), name))
    return model.eval()


def text_of(golden: Golden) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(golden["text"])[None], torch.tensor([len(golden["text"])])


@pytest.mark.parametrize("begin_symbol", [True, False])
def test_ar_logits_and_loss(begin_symbol: bool, golden: Golden) -> None:
    config = ArConfig(**SIZES, begin_symbol=begin_symbol)
    model = loaded(
        ArModel(config, vocabulary_size=SYMBOLS, bins=BINS), "ar", begin_symbol=begin_symbol
    )
    codes = torch.from_numpy(golden["codes"])[None, :, 0]
    shifted = model.shift_codes(codes, torch.tensor([codes.size(1)]))
    with torch.no_grad():
        logits = model(*text_of(golden), shifted.inputs, shifted.lengths)
    expected = torch.from_numpy(golden[f"bos{int(begin_symbol)}_ar_logits"])
    assert expected.std() > 0.2
    torch.testing.assert_close(logits[0, :, 0], expected, **TOLERANCE)
    loss = float(score_predictions(logits, shifted.targets).cross_entropy)
    assert loss == pytest.approx(float(golden[f"bos{int(begin_symbol)}_ar_loss"]), rel=1e-4)


@pytest.mark.parametrize("stage", [1, 4, 7])
@pytest.mark.parametrize("mode", MODES)
def test_nar_logits_and_loss(mode: PromptMode, stage: int, golden: Golden) -> None:
    config = NarConfig(**SIZES, prompt=mode)
    model = loaded(NarModel(config, vocabulary_size=SYMBOLS, codebooks=CODEBOOKS, bins=BINS), "nar")
    codes = torch.from_numpy(golden["codes"])
    prompt_codes = {
        "none": codes[:0],
        "prefix": codes[:0],
        "segment": codes[SEGMENT],
        "neighbour": torch.from_numpy(golden["prompt"]),
    }[mode]
    whole = torch.cat([prompt_codes, codes])
    prompt = PREFIX if mode == "prefix" else len(prompt_codes)
    prompted = PromptedCodes(
        codes=whole[None], lengths=torch.tensor([len(whole)]), prompt_lengths=torch.tensor([prompt])
    )
    with torch.no_grad():
        logits = model(*text_of(golden), prompted, torch.tensor([stage]))[:, prompt:]
    key = f"bos1_mode{MODES[mode]}_stage{stage}"
    expected = torch.from_numpy(golden[f"{key}_nar_logits"])
    assert expected.std() > 0.2
    torch.testing.assert_close(logits[0], expected, **TOLERANCE)

    targets = whole[prompt:, stage].clone()
    if mode == "segment":
        targets[SEGMENT] = IGNORE_INDEX
    loss = float(score_predictions(logits, targets[None]).cross_entropy)
    # The reference divides by all frames of the utterance, including those that its prompt reveals.
    revealed = {"prefix": PREFIX, "segment": len(prompt_codes)}.get(mode, 0)
    loss *= len(codes) / (len(codes) - revealed)
    assert loss == pytest.approx(float(golden[f"{key}_nar_loss"]), rel=1e-4)


def test_parameter_counts_match_the_published_size() -> None:
    config = TransformerConfig()
    with torch.device("meta"):
        ar = ArModel(ArConfig(begin_symbol=False), vocabulary_size=512, bins=1024)
        nar = NarModel(NarConfig(), vocabulary_size=512, codebooks=8, bins=1024)
    counts = [sum(p.numel() for p in model.parameters()) for model in (ar, nar)]
    # The reference has 372 tensors with 367.4 million parameters, not counting padding rows.
    assert [round(count / 1e6, 1) for count in counts] == [153.8, 213.6]
    assert config.channels == 1024
