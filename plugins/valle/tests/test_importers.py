"""Importers: voices from other implementations, and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from test_reference_parity import BINS, CODEBOOKS, SYMBOLS, reference_state
from torch import Tensor

from allophone.errors import UserError
from allophone.inference.folder import StoredVoice, read_voice
from allophone.inference.importing import import_checkpoint
from allophone.registry import default_registry
from allophone.text.phones import PhoneMap

PHONES = ("_", "a", "aɪ", "b", "iː", "t", "tʃ", "s", "ʃ", ",", ".")
"""Symbols of the model, besides <pad>, <bos>, <eos> and <eps>."""


def write_symbols(path: Path, symbols: tuple[str, ...] = PHONES) -> None:
    numbered = enumerate(("<eps>", *symbols))
    path.write_text("".join(f"{symbol} {number}\n" for number, symbol in numbered), "utf-8")


def lifeiteng(folder: Path, state: dict[str, Tensor], **settings: Any) -> Path:
    """Write a checkpoint as the reference's trainer does, including paths."""
    folder.mkdir(exist_ok=True)
    content = {
        "model": state,
        "nhead": 2,
        "decoder_dim": 16,
        "num_decoder_layers": 2,
        "prefix_mode": 1,
        "prepend_bos": True,
        "norm_first": True,
        "add_prenet": False,
        "scale_factor": 1.0,
        "exp_dir": Path("exp/valle"),
        "text_tokens": "data/tokenized/unique_text_tokens.k2symbols",
        "optimizer": {"state": {0: {"delta": torch.zeros(3)}}},
    }
    write_symbols(folder / "unique_text_tokens.k2symbols")
    torch.save(content | settings, folder / "best-valid-loss.pt")
    return folder / "best-valid-loss.pt"


def amphion(folder: Path, state: dict[str, Tensor], **settings: Any) -> Path:
    """Write an experiment with two checkpoints; the importer must take the later one."""
    arguments = {
        "model_type": "VALLE",
        "preprocess": {"phone_extractor": "espeak", "symbols_dict": "symbols.dict"},
        "model": {
            "nhead": 2,
            "prefix_mode": 0,
            "prepend_bos": False,
            "norm_first": True,
            "add_prenet": False,
            "nar_scale_factor": 1,
            **settings,
        },
    }
    for name, scale in (
        ("epoch-0001_step-0000010_loss-5.0", 9.0),
        ("epoch-0012_step-0000300_loss-1.0", 1.0),
    ):
        (folder / "checkpoint" / name).mkdir(parents=True)
        # safetensors stores only one of several tied tensors.
        tied = {f"nar_predict_layers.{head}.weight" for head in range(CODEBOOKS - 2)}
        kept = {key: value * scale for key, value in state.items() if key not in tied}
        save_file(kept, folder / "checkpoint" / name / "model.safetensors")
    (folder / "args.json").write_text(json.dumps(arguments))
    write_symbols(folder / "symbols.dict")
    return folder


def imported(source: Path, destination: Path) -> StoredVoice:
    import_checkpoint(source, destination, None, default_registry())
    return read_voice(destination, default_registry())


@pytest.mark.parametrize("write", [lifeiteng, amphion])
def test_checkpoints_are_imported(
    write: Callable[[Path, dict[str, Tensor]], Path], tmp_path: Path
) -> None:
    state = reference_state(begin_symbol=write is lifeiteng)
    voice = imported(write(tmp_path / "theirs", state), tmp_path / "ours")
    model = voice.description.model
    assert (model.codebooks, model.bins) == (CODEBOOKS, BINS)
    assert (model.ar.channels, model.ar.layers, model.ar.heads) == (16, 2, 2)
    assert model.ar.begin_symbol == (write is lifeiteng)
    assert model.nar.prompt == ("prefix" if write is lifeiteng else "none")
    ids = voice.vocabulary.symbols.ids
    assert [ids[symbol] for symbol in ("<pad>", "<bos>", "<eos>", ",", ".", "<eps>", "_", "a")] == [
        0, 1, 2, 3, 4, 5, 6, 7,
    ]  # fmt: skip
    text = state["ar_text_embedding.word_embeddings.weight"]
    assert torch.equal(voice.weights["ar.text_embedding.weight"], text[: len(ids)])
    tables = voice.weights["nar.tables"]
    last = state[f"nar_predict_layers.{CODEBOOKS - 2}.weight"]
    assert torch.equal(tables[-1], last)
    second = state["nar_audio_embeddings.1.word_embeddings.weight"]
    assert torch.equal(tables[1], second)


def test_text_is_split_into_the_models_phones(tmp_path: Path) -> None:
    source = lifeiteng(tmp_path / "theirs", reference_state(begin_symbol=True))
    text = imported(source, tmp_path / "ours").description.text
    symbols = PhoneMap(text.phones).names("tʃiːs ʃaɪ, bat.")
    assert symbols == ["tʃ", "iː", "s", "_", "ʃ", "aɪ", ",", "_", "b", "a", "t", "."]


def test_imported_voices_use_the_published_codec(tmp_path: Path) -> None:
    source = lifeiteng(tmp_path / "theirs", reference_state(begin_symbol=True))
    description = imported(source, tmp_path / "ours").description
    assert (description.model.codec.place, description.audio.sample_rate) == (
        "encodec-24khz",
        24000,
    )
    assert description.audio.hop_length == 320


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prefix_mode": 3}, "unknown prefix_mode 3"),
        ({"norm_first": False}, "not supported"),
        ({"add_prenet": True}, "not supported"),
    ],
)
def test_unsupported_architectures_are_rejected(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    source = lifeiteng(tmp_path / "theirs", reference_state(begin_symbol=True), **settings)
    with pytest.raises(UserError, match=message):
        imported(source, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_checkpoints_of_the_first_stage_are_rejected(tmp_path: Path) -> None:
    state = {k: v for k, v in reference_state(begin_symbol=True).items() if k.startswith("ar_")}
    with pytest.raises(UserError, match="0 code embeddings") as caught:
        imported(lifeiteng(tmp_path / "theirs", state), tmp_path / "ours")
    assert "last training stage" in (caught.value.hint or "")


def test_untied_output_layers_are_rejected(tmp_path: Path) -> None:
    state = reference_state(begin_symbol=True)
    state["nar_predict_layers.2.weight"] = state["nar_predict_layers.2.weight"] + 1
    with pytest.raises(UserError, match="share_embedding"):
        imported(lifeiteng(tmp_path / "theirs", state), tmp_path / "ours")


def test_invalid_symbol_tables_are_rejected(tmp_path: Path) -> None:
    source = lifeiteng(tmp_path / "theirs", reference_state(begin_symbol=True))
    many = tuple(chr(0x250 + number) for number in range(SYMBOLS))
    write_symbols(source.with_name("unique_text_tokens.k2symbols"), many)
    with pytest.raises(UserError, match=f"only {SYMBOLS}"):
        imported(source, tmp_path / "ours")
    write_symbols(source.with_name("unique_text_tokens.k2symbols"), ("n", "i3"))
    with pytest.raises(UserError, match="pinyin"):
        imported(source, tmp_path / "ours")
    source.with_name("unique_text_tokens.k2symbols").write_text("not a table of symbols\n")
    with pytest.raises(UserError, match="is not a symbol table"):
        imported(source, tmp_path / "ours")


def test_missing_files_are_reported(tmp_path: Path) -> None:
    registry = default_registry()
    source = lifeiteng(tmp_path / "theirs", reference_state(begin_symbol=True))
    source.with_name("unique_text_tokens.k2symbols").unlink()
    with pytest.raises(UserError, match="k2symbols"):
        import_checkpoint(source, tmp_path / "ours", "valle.lifeiteng", registry)
    experiment = amphion(tmp_path / "experiment", reference_state(begin_symbol=False))
    (experiment / "symbols.dict").unlink()
    with pytest.raises(UserError, match="symbols.dict"):
        import_checkpoint(experiment, tmp_path / "ours", None, registry)
    (experiment / "args.json").unlink()
    with pytest.raises(UserError, match="args.json"):
        import_checkpoint(experiment, tmp_path / "ours", "valle.amphion", registry)


def test_unsafe_pickles_are_rejected(tmp_path: Path) -> None:
    source = lifeiteng(
        tmp_path / "theirs", reference_state(begin_symbol=True), sampler=pytest.raises
    )
    with pytest.raises(UserError, match="contains more than weights"):
        imported(source, tmp_path / "ours")
