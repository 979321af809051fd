"""Synthesis with prompts, assembling voices, and errors."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from attrs import evolve
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

import allophone
from allophone.audio.melspec import MelSpec
from allophone.data.vocabulary import Vocabulary
from allophone.errors import ConfigError, UserError
from allophone.inference.folder import (
    StoredVocoder,
    StoredVoice,
    VocoderDescription,
    read_voice,
    write_vocoder,
)
from allophone.inference.protocol import TextBatch, VoiceSpec
from allophone.registry import default_registry
from allophone.synthesis.description import About, VoiceDescription
from allophone.synthesis.engine import Prompt
from allophone.synthesis.waveform import Waveform
from allophone.text.config import GraphemeConfig, TextConfig
from allophone.text.symbols import SymbolTable
from allophone.weights.files import add_prefix, strip_prefix
from allophone_valle import synthesis
from allophone_valle.ar import ArModel
from allophone_valle.assembling import assemble
from allophone_valle.codec_config import CodecArchitecture, CodecConfig, FakeCodecConfig
from allophone_valle.codecs.network import CodecNetwork
from allophone_valle.config import ArConfig, NarConfig, PromptMode, ValleConfig, ValleControls
from allophone_valle.nar import NarModel
from allophone_valle.nar_decoding import NarInput
from allophone_valle.synthesis import ValleSynthesizer, build_synthesizer

CPU = torch.device("cpu")
HOP, RATE = 320, 16000
SIZES = {"channels": 16, "layers": 1, "heads": 2, "feed_forward_channels": 32}
SYMBOLS = SymbolTable.from_symbols("abc ", bos="^", eos="$")
MODES: tuple[PromptMode, ...] = ("none", "prefix", "segment", "neighbour")
SHORT = ValleControls(max_ratio=4.0)


def make_config(mode: PromptMode = "prefix", **ar: bool) -> ValleConfig:
    return ValleConfig(
        codec=CodecConfig(place="fake", fake=FakeCodecConfig(codebooks=4, bins=32)),
        codebooks=4,
        bins=32,
        ar=ArConfig(**SIZES, **ar),
        nar=NarConfig(**SIZES, prompt=mode),
    )


def make_weights(config: ValleConfig, symbols: int = SYMBOLS.size) -> dict[str, Tensor]:
    torch.manual_seed(0)
    ar = ArModel(config.ar, vocabulary_size=symbols, bins=config.bins)
    nar = NarModel(config.nar, vocabulary_size=symbols, codebooks=4, bins=config.bins)
    return add_prefix(ar.state_dict(), "ar") | add_prefix(nar.state_dict(), "nar")


def make_spec(config: ValleConfig) -> VoiceSpec:
    return VoiceSpec(
        model=config,
        audio=MelSpec(sample_rate=RATE, hop_length=HOP),
        vocabulary=Vocabulary(symbols=SYMBOLS),
    )


def synthesizer(
    config: ValleConfig | None = None, weights: Mapping[str, Tensor] | None = None
) -> ValleSynthesizer:
    config = config or make_config()
    return build_synthesizer(make_spec(config), weights or make_weights(config), CPU)


def recording(frames: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(int(frames * HOP), generator=generator).mul_(0.1)


def make_text(*texts: str, prompts: tuple[Prompt, ...] | None = None) -> TextBatch:
    ids = [torch.tensor(SYMBOLS.encode(text)) for text in texts]
    speakers = torch.zeros(len(texts), dtype=torch.long)
    return TextBatch(
        ids=pad_sequence(ids, batch_first=True),
        lengths=torch.tensor([len(row) for row in ids]),
        speakers=speakers,
        languages=speakers,
        seeds=tuple(range(len(texts))),
        prompts=prompts,
    )


def prompt(text: str, frames: float, seed: int = 0) -> Prompt:
    ids = tuple(SYMBOLS.encode_within(text))
    return Prompt(ids=ids, samples=recording(frames, seed).numpy())


@pytest.mark.parametrize("mode", MODES)
def test_batching_does_not_change_the_output(mode: PromptMode) -> None:
    voice = synthesizer(make_config(mode))
    prompts = (prompt("ab ", 61.4), prompt("", 50, seed=1), prompt("c", 83, seed=2))
    texts = ("abc", "cab abc", "a")
    batched = voice.synthesize(make_text(*texts, prompts=prompts), SHORT)
    for row, (text, one) in enumerate(zip(texts, prompts, strict=True)):
        batch = evolve(make_text(text, prompts=(one,)), seeds=(row,))
        alone = voice.synthesize(batch, SHORT)
        length = int(alone.lengths[0])
        assert int(batched.lengths[row]) == length
        ours = batched.waveform[row, :length]
        assert (ours - alone.waveform[0, :length]).abs().max() < 1e-4
        assert not batched.waveform[row, length:].any()


@pytest.mark.parametrize("mode", MODES)
def test_output_starts_with_the_prompt_only_if_it_continues_it(mode: PromptMode) -> None:
    voice = synthesizer(make_config(mode))
    encoded = voice.codec.encode(recording(60)[None], torch.tensor([60 * HOP]))
    prompt_audio = voice.codec.decode(encoded.codes, encoded.lengths)[0]
    controls = evolve(SHORT, max_ratio=10.0)
    [continued], [separate] = (
        voice.synthesize(make_text("abc abc", prompts=(prompt(text, 60.7),)), controls).waveform
        for text in ("", "abc ")
    )
    # The fake codec codes frames independently.
    assert torch.allclose(continued[: 60 * HOP], prompt_audio, atol=1e-6)
    assert not torch.allclose(
        separate[: len(prompt_audio)], prompt_audio[: len(separate)], atol=1e-3
    )
    # Nine ids of at most ten frames each, including the ids of the prompt.
    assert len(continued) <= 9 * 10 * HOP
    assert len(continued) > 60 * HOP


@pytest.mark.parametrize("mode", MODES)
def test_the_nar_input_matches_training(mode: PromptMode, monkeypatch: pytest.MonkeyPatch) -> None:
    nar_inputs: list[NarInput] = []

    def recorded(model: NarModel, inputs: list[NarInput]) -> list[Tensor]:
        nar_inputs.extend(inputs)
        return [torch.zeros(len(one.first_codebook), 4, dtype=torch.long) for one in inputs]

    monkeypatch.setattr(synthesis, "predict_codebooks", recorded)
    batch = make_text("cc", "cc", prompts=(prompt("ab", 55), prompt("", 55)))
    synthesizer(make_config(mode)).synthesize(batch, evolve(SHORT, max_ratio=20.0))
    alone, joined = SYMBOLS.encode("cc"), SYMBOLS.encode("abcc")
    elsewhere = mode in ("segment", "neighbour")
    assert [one.text.tolist() for one in nar_inputs] == [alone if elsewhere else joined, alone]
    assert [one.prompt_length for one in nar_inputs] == [0 if mode == "none" else 55] * 2
    # With a prompt from elsewhere, a continued prompt is repeated, since its text is part of the input.
    assert [len(one.known) for one in nar_inputs] == [55, 110 if elsewhere else 55]


def test_a_shared_referenceis_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    voice, shared = synthesizer(), prompt("ab", 60)
    sizes: list[int] = []
    encode = type(voice.codec).encode

    def counted(codec: object, waveform: Tensor, lengths: Tensor) -> object:
        sizes.append(len(waveform))
        return encode(codec, waveform, lengths)

    monkeypatch.setattr(type(voice.codec), "encode", counted)
    voice.synthesize(make_text("a", "b", "c", prompts=(shared, prompt("c", 70), shared)), SHORT)
    assert sizes == [2]


def test_only_models_trained_without_prompts_synthesize_without_one() -> None:
    assert hasattr(synthesizer(), "prompt_seconds")
    needs = {mode: synthesizer(make_config(mode)).needs_prompt for mode in MODES}
    assert needs == {"none": False, "prefix": True, "segment": True, "neighbour": True}
    assert synthesizer(make_config("none", begin_symbol=False)).needs_prompt
    speech = synthesizer(make_config("none")).synthesize(make_text("abc"), SHORT)
    assert int(speech.lengths[0]) > 0


def test_the_reason_for_a_cut_off_is_reported() -> None:
    config = make_config("none")
    weights = make_weights(config)
    end = config.bins
    weights["ar.transformer.norm.bias"].fill_(5.0)

    def cut_off(sign: float, **controls: float) -> str | None:
        weights["ar.head.weight"][end] = sign
        speech = synthesizer(config, weights).synthesize(
            make_text("abc"), evolve(SHORT, **controls)
        )
        assert speech.cut_off is not None
        assert int(speech.lengths[0]) > 0
        return speech.cut_off[0]

    # The end is the most likely code from the first step on: one frame, without an error.
    assert cut_off(1.0, min_ratio=0.0) is None
    assert cut_off(-1.0) == "it was stopped after 4 frames for each of its 5 ids (max_ratio)"
    assert cut_off(-1.0, max_seconds=0.1) == "it was stopped after 0.1 s (max_seconds)"


def test_vocabulary_mismatch_is_an_error() -> None:
    config = make_config()
    with pytest.raises(UserError, match="symbols") as caught:
        synthesizer(config, make_weights(config, symbols=SYMBOLS.size + 2))
    assert "have 8" in str(caught.value)


def test_a_run_of_one_stage_is_an_error() -> None:
    config = make_config()
    whole = make_weights(config)
    one = {
        name.removeprefix("ar."): tensor for name, tensor in whole.items() if name.startswith("ar.")
    }
    for weights in (one, add_prefix(one, "ar")):
        with pytest.raises(UserError) as caught:
            synthesizer(config, weights)
        assert "allophone import runs/ar runs/nar" in (caught.value.hint or "")


def test_codec_mismatch_is_an_error() -> None:
    config = make_config()
    others = evolve(
        config, codec=CodecConfig(place="fake", fake=FakeCodecConfig(codebooks=8, bins=32))
    )
    with pytest.raises(ConfigError, match=r"8 codebooks of 32 .* model.codebooks is 4"):
        synthesizer(others).synthesize(make_text("a", prompts=(prompt("b", 60),)), SHORT)
    elsewhere = evolve(config, codec=CodecConfig(place="nowhere"))
    with pytest.raises(UserError, match="'nowhere' not found"):
        synthesizer(elsewhere).synthesize(make_text("a", prompts=(prompt("b", 60),)), SHORT)


def stages_of(config: ValleConfig) -> dict[str, StoredVoice]:
    """Random weights of a run of each stage."""
    whole = make_weights(config)
    description = VoiceDescription(
        about=About(name="both", licence="none"),
        model=config,
        audio=MelSpec(sample_rate=RATE, hop_length=HOP),
        text=TextConfig(phonemizer=GraphemeConfig(), blank=False, boundaries=True),
    )
    return {
        stage: StoredVoice(
            description=description,
            vocabulary=Vocabulary(symbols=SYMBOLS),
            weights=strip_prefix(whole, stage),
        )
        for stage in ("ar", "nar")
    }


def test_a_voice_is_assembled_from_both_stages(tmp_path: Path) -> None:
    stages = stages_of(make_config())
    with pytest.raises(UserError, match="No run of the stage 'nar'"):
        assemble({"ar": stages["ar"]}, tmp_path / "half")
    assemble(stages, tmp_path / "voice")
    read = read_voice(tmp_path / "voice", default_registry())
    whole = make_weights(make_config())
    assert read.weights.keys() == whole.keys()
    assert all(torch.equal(read.weights[name], whole[name]) for name in whole)
    # The voice records the codec's fingerprint.
    assert read.description.model.codec.fingerprint == "fake-16000-320-4-32"


def test_a_trained_codec_is_copied_into_the_voice(tmp_path: Path) -> None:
    torch.manual_seed(0)
    architecture = CodecArchitecture(filters=2, lstm_layers=1, dimension=8, codebooks=4, bins=32)
    vocoder = StoredVocoder(
        description=VocoderDescription(
            about=About(name="codec", licence="none"),
            vocoder=architecture,
            audio=MelSpec(sample_rate=RATE, hop_length=HOP),
        ),
        weights=CodecNetwork(architecture).state_dict(),
    )
    write_vocoder(tmp_path / "trained", vocoder)
    config = evolve(make_config(), codec=CodecConfig(place=str(tmp_path / "trained")))
    assemble(stages_of(config), tmp_path / "voice")
    shutil.rmtree(tmp_path / "trained")
    (tmp_path / "voice").rename(tmp_path / "elsewhere")

    voice = allophone.load(tmp_path / "elsewhere")
    reference = Waveform(samples=recording(60).numpy(), sample_rate=RATE)
    speech = voice.say("abc", prompt=voice.prompt(reference, text="cab"), max_ratio=4.0)
    assert len(speech.samples) > 0
    assert voice.description.model.codec.place == "codec"
