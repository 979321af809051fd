"""Distillation: the teacher's speech, the student's training, and the voice that both become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import evolve

import allophone
from allophone.audio.files import read_audio
from allophone.audio.melspec import MelSpec
from allophone.data.manifest import Dropped, Utterance
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.features.protocol import ExtractionContext
from allophone.files.run_folder import WEIGHTS, checkpoints, find_checkpoint
from allophone.inference.folder import StoredVoice, read_voice, write_voice
from allophone.processes.progress import untracked
from allophone.registry import default_registry
from allophone.synthesis.description import About, VoiceDescription
from allophone.synthesis.requests import Request
from allophone.text.config import GraphemeConfig, TextConfig
from allophone.text.symbols import SymbolTable
from allophone.training.finetune import read_source
from allophone.weights.files import read_weights, write_weights
from allophone_vits.config import (
    SIZES,
    DurationConfig,
    FlowConfig,
    PosteriorEncoderConfig,
    TextEncoderConfig,
    VitsConfig,
)
from allophone_vits.distillation.config import LatentsConfig
from allophone_vits.distillation.distilling import _family, _with_student, distill
from allophone_vits.distillation.features import LatentsExtractor
from allophone_vits.distillation.teacher import AUDIO, LATENTS, TABLE, say_texts
from allophone_vits.model import Vits
from allophone_vocos.config import VocosConfig

CONFIG = VitsConfig(
    latent_channels=16,
    speaker_channels=8,
    text_encoder=TextEncoderConfig(hidden_channels=16, feed_forward_channels=16, layers=1),
    posterior_encoder=PosteriorEncoderConfig(hidden_channels=16, layers=2),
    flow=FlowConfig(hidden_channels=16, couplings=2, layers=1),
    duration=DurationConfig(kind="deterministic", channels=16),
    decoder=evolve(SIZES["medium"].decoder, channels=32),
)
SETTINGS = (
    "model.decoder={type = 'vocos', channels = 16, feed_forward_channels = 32, blocks = 2}",
    "trainer.segment_size=4096",
    "trainer.adversarial_from=1",
    "trainer.discriminators={periods = [2], period_channels = [4, 4], stft_sizes = [256], spectral_channels = 2}",
    "data.splits.valid=2",
    "runtime.precision=fp32",
)
LINES = [f"a faded cafe, a deed, a {word} cab, a bad decade." for word in "abcdef"]


def voice(speakers: tuple[str, ...] = (), language: str = "en") -> StoredVoice:
    """A voice with random weights."""
    table = SymbolTable.from_symbols("abcdef ,.", blank="_")
    vocabulary = Vocabulary(symbols=table, speakers=speakers)
    torch.manual_seed(0)
    model = Vits(CONFIG, vocabulary_size=table.size, speakers=len(speakers), audio=MelSpec())
    return StoredVoice(
        description=VoiceDescription(
            about=About(name="letters", licence="CC0-1.0"),
            model=CONFIG,
            audio=MelSpec(),
            text=TextConfig(language=language, normalize=False, phonemizer=GraphemeConfig()),
            controls={"noise_scale": 0.5},
        ),
        vocabulary=vocabulary,
        weights={
            name: weight + 0.1 * torch.randn_like(weight)
            for name, weight in model.state_dict().items()
        },
    )


def distilled(
    out: Path, given: Path | str, *, texts: Path | None = None, max_steps: int = 3
) -> None:
    distill(
        given,
        out,
        decoder="vocos",
        texts=texts,
        count=None,
        folder=out.parent / "training",
        overrides=[*SETTINGS, f"runtime.max_steps={max_steps}"],
        registry=default_registry(),
        track=untracked,
    )


@pytest.mark.parametrize("speakers", [(), ("ann", "bob")], ids=["one speaker", "two speakers"])
@pytest.mark.slow
def test_a_student_takes_the_decoders_place(tmp_path: Path, speakers: tuple[str, ...]) -> None:
    teacher = voice(speakers)
    write_voice(tmp_path / "letters", teacher)
    texts = tmp_path / "texts.txt"
    rows = [
        f"{number}|{line}|{speakers[number % 2]}" if speakers else line
        for number, line in enumerate(LINES)
    ]
    texts.write_text("\n".join(rows), "utf-8")

    distilled(tmp_path / "fast", tmp_path / "letters", texts=texts)
    student = read_voice(tmp_path / "fast")
    config = student.description.model
    assert config == evolve(CONFIG, decoder=config.decoder)
    assert config.decoder == VocosConfig(channels=16, feed_forward_channels=32, blocks=2)
    assert student.description.about.licence == "CC0-1.0"
    assert student.description.controls == {"noise_scale": 0.5}
    for name, weight in teacher.weights.items():
        if not name.startswith("decoder."):
            assert torch.equal(student.weights[name], weight), name
    said = allophone.load(tmp_path / "fast").say(LINES[0], seed=1)
    expected = allophone.load(tmp_path / "letters").say(LINES[0], seed=1)
    assert len(said.samples) == len(expected.samples)
    assert np.abs(said.samples).max() > 1e-4
    joined = np.concatenate(list(allophone.load(tmp_path / "fast").stream(LINES[0], seed=1)))
    np.testing.assert_array_equal(joined, said.samples)

    distilled(tmp_path / "faster", tmp_path / "letters", texts=texts, max_steps=5)
    steps = [checkpoint.step for checkpoint in checkpoints(tmp_path / "training" / "run")]
    assert sorted(steps) == [3, 5]
    later = read_voice(tmp_path / "faster").weights
    name = "decoder.output.weight"
    assert not torch.equal(later[name], student.weights[name])


@pytest.mark.slow
def test_a_student_goes_on_elsewhere(tmp_path: Path) -> None:
    """What training learnt is the beginning of another one, in half precision."""
    write_voice(tmp_path / "letters", voice())
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(LINES), "utf-8")
    distilled(tmp_path / "fast", tmp_path / "letters", texts=texts)
    checkpoint = find_checkpoint(tmp_path / "training" / "run").path
    learnt = {
        name: tensor.half()
        for name, tensor in read_weights(checkpoint / WEIGHTS).items()
        if name.startswith(("generator.decoder.", "discriminator."))
    }
    (tmp_path / "student").mkdir()
    write_weights(tmp_path / "student" / WEIGHTS, learnt)
    begin = _with_student(voice(), tmp_path / "student", tmp_path / "begin", default_registry())
    found = read_source(begin, inference_module="generator").weights
    for name, tensor in learnt.items():
        assert torch.equal(found[name], tensor.float()), name
    assert "generator.text_encoder.embedding.weight" in found
    (tmp_path / "other").mkdir()
    write_weights(tmp_path / "other" / WEIGHTS, {"generator.flow": torch.zeros(1)})
    with pytest.raises(UserError, match="no weights of a student's decoder"):
        _with_student(voice(), tmp_path / "other", tmp_path / "begin", default_registry())


def test_the_teachers_waveform_is_that_of_its_latents(tmp_path: Path) -> None:
    teacher = voice()
    requests = [Request(id=str(number), text=text) for number, text in enumerate(LINES)]
    requests.append(Request(id="unreadable", text="xyz"))
    spoken = say_texts(teacher, requests, tmp_path, registry=default_registry())
    assert spoken.utterances == len(LINES)
    assert len(spoken.skipped) == 1
    assert spoken.skipped[0].startswith("unreadable: ")
    files = sorted((tmp_path / LATENTS).iterdir())
    latents = np.load(files[0])
    assert latents.dtype == np.float16
    model = Vits(CONFIG, vocabulary_size=10, speakers=0, audio=MelSpec()).eval()
    model.load_state_dict(dict(teacher.weights))
    with torch.no_grad():
        expected = model.decoder(torch.from_numpy(latents.astype(np.float32)).T[None])[0].numpy()
    found = read_audio(tmp_path / AUDIO / f"{files[0].stem}.wav").samples
    assert len(found) == len(latents) * 256
    # Latents of half precision and samples of 16 bits.
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.02 * np.abs(expected).max() + 1e-4)

    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    again = say_texts(teacher, requests, tmp_path, registry=default_registry())
    assert again == spoken
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    assert {path for path in after if after[path] != before[path]} == {tmp_path / TABLE}


def extractor(folder: Path, samples: int) -> LatentsExtractor:
    context = ExtractionContext(
        audio=MelSpec(),
        load_audio=lambda _: np.zeros(samples, dtype=np.float32),
        audio_key={},
        frontend=lambda _: pytest.fail("texts are not read"),
        text_key={},
    )
    return LatentsExtractor(LatentsConfig(directory=str(folder)), context)


def test_latents_of_another_recording_are_left_out(tmp_path: Path) -> None:
    utterance = Utterance(id="a", audio="a.wav", text="")
    np.save(tmp_path / "a.npy", np.ones((5, 16), dtype=np.float16))
    (found,) = extractor(tmp_path, 5 * 256).extract([utterance])
    assert isinstance(found, np.ndarray)
    assert found.shape == (5, 16)
    (dropped,) = extractor(tmp_path, 5 * 256 + 1).extract([utterance])
    assert isinstance(dropped, Dropped)
    assert "1281 samples, its 5 frames 1280" in dropped.detail
    (tmp_path / "a.npy").write_bytes(b"nothing")
    (dropped,) = extractor(tmp_path, 5 * 256).extract([utterance])
    assert isinstance(dropped, Dropped)
    assert dropped.reason == "unreadable latents"


class TestErrors:
    def test_the_voice_exists(self, tmp_path: Path) -> None:
        (tmp_path / "fast").mkdir()
        with pytest.raises(UserError, match="exists already"):
            distilled(tmp_path / "fast", tmp_path / "letters")

    def test_missing_texts(self, tmp_path: Path) -> None:
        write_voice(tmp_path / "letters", voice())
        with pytest.raises(UserError, match=r"none\.txt cannot be read"):
            distilled(tmp_path / "fast", tmp_path / "letters", texts=tmp_path / "none.txt")

    def test_no_texts_are_shipped_for_other_languages(self, tmp_path: Path) -> None:
        write_voice(tmp_path / "letters", voice(language="ru"))
        with pytest.raises(UserError, match="speaks 'ru'; only English texts are shipped"):
            distilled(tmp_path / "fast", tmp_path / "letters")

    def test_no_text_can_be_read(self, tmp_path: Path) -> None:
        requests = [Request(id="1", text="xyz")]
        with pytest.raises(UserError, match="none of the 1 texts"):
            say_texts(voice(), requests, tmp_path, registry=default_registry())

    def test_a_family_without_a_decoder(self) -> None:
        fastspeech2 = pytest.importorskip("allophone_fastspeech2.config")
        teacher = voice()
        other = evolve(
            teacher,
            description=evolve(teacher.description, model=fastspeech2.FastSpeech2Config()),
        )
        with pytest.raises(UserError, match="no decoder that a student could replace"):
            _family(other, default_registry())
