"""Distillation: the teacher's speech, the student's training, and the voice that both become."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import evolve
from letters_voice import CONFIG, LINES, voice

import allophone
from allophone.audio.files import read_audio
from allophone.audio.melspec import MelSpec
from allophone.data.manifest import Dropped, Utterance
from allophone.errors import UserError
from allophone.features.protocol import ExtractionContext
from allophone.files.run_folder import checkpoints, find_checkpoint
from allophone.inference.folder import read_voice, write_voice
from allophone.processes.progress import untracked
from allophone.registry import default_registry
from allophone.synthesis.requests import Request
from allophone.weights.files import read_weights
from allophone_vits.distillation.beginning import read_student
from allophone_vits.distillation.config import (
    LATENTS,
    PARTS,
    EncodedTextConfig,
    LatentsConfig,
)
from allophone_vits.distillation.distilling import _family, distill
from allophone_vits.distillation.features import EncodedTextExtractor, LatentsExtractor
from allophone_vits.distillation.teacher import AUDIO, say_texts
from allophone_vits.model import Vits
from allophone_vocos.config import VocosConfig

SETTINGS = (
    "model.decoder={type = 'vocos', channels = 16, feed_forward_channels = 32, blocks = 2}",
    "trainer.segment_size=4096",
    "trainer.adversarial_from=1",
    "trainer.discriminators={periods = [2], period_channels = [4, 4], stft_sizes = [256], spectral_channels = 2}",
    "data.splits.valid=2",
    "runtime.precision=fp32",
)


def distilled(
    out: Path,
    given: Path | str,
    *,
    texts: Path | None = None,
    max_steps: int = 3,
    parts: tuple[str, ...] = ("decoder",),
    settings: tuple[str, ...] = (),
    speech: Path | None = None,
) -> None:
    distill(
        given,
        out,
        parts=parts,
        decoder="vocos",
        texts=texts,
        count=None,
        folder=out.parent / "training",
        speech=speech,
        overrides=[*SETTINGS, *settings, f"runtime.max_steps={max_steps}"],
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

    speech = tmp_path / "speech"
    distilled(tmp_path / "fast", tmp_path / "letters", texts=texts, speech=speech)
    assert not (tmp_path / "training" / "teacher").exists()
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
    with pytest.raises(UserError, match="learns decoder, and not flow"):
        distilled(tmp_path / "other", tmp_path / "letters", texts=texts, parts=("flow",))
    assert not (tmp_path / "training" / "teacher").exists()
    later = read_voice(tmp_path / "faster").weights
    name = "decoder.output.weight"
    assert not torch.equal(later[name], student.weights[name])


@pytest.mark.slow
def test_a_student_goes_on_elsewhere(tmp_path: Path) -> None:
    """What a run learned is the beginning of another one."""
    write_voice(tmp_path / "letters", voice())
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(LINES), "utf-8")
    distilled(tmp_path / "fast", tmp_path / "letters", texts=texts)
    run = tmp_path / "training" / "run"
    weights = read_weights(find_checkpoint(run).inference_weights)
    student = read_student(run, PARTS)
    assert student.parts.keys() == {
        name.removeprefix("generator.") for name in weights if name.startswith("generator.decoder.")
    }
    for name, tensor in student.parts.items():
        assert torch.equal(tensor, weights[f"generator.{name}"]), name
    assert "judges.0.output.bias" in student.discriminators


SMALLER = (
    "model.flow={hidden_channels = 8, layers = 1}",
    "model.text_encoder={hidden_channels = 16, feed_forward_channels = 16, layers = 1, dropout = 0.0}",
)


@pytest.mark.slow
def test_all_parts_are_learnt(tmp_path: Path) -> None:
    """Only the durations remain the teacher's, and the voice streams, exports and is taught again."""
    teacher = voice()
    write_voice(tmp_path / "letters", teacher)
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(LINES), "utf-8")
    distilled(tmp_path / "small", tmp_path / "letters", texts=texts, parts=PARTS, settings=SMALLER)
    student = read_voice(tmp_path / "small")
    config = student.description.model
    assert config.flow.hidden_channels == 8
    assert config.text_encoder.dropout == 0
    assert config.duration == CONFIG.duration
    for name, weight in teacher.weights.items():
        if name.startswith("duration_predictor."):
            assert torch.equal(student.weights[name], weight), name
    metrics = (tmp_path / "training" / "run" / "metrics.jsonl").read_text("utf-8")
    for loss in ("latents_loss", "hidden_loss", "prior_loss", "mel_loss"):
        assert f'"{loss}"' in metrics
    said = allophone.load(tmp_path / "small").say(LINES[0], seed=1)
    assert np.abs(said.samples).max() > 1e-4


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
    assert {path for path in after if after[path] != before[path]} == {tmp_path / spoken.table}


def test_lists_of_texts_share_a_folder_of_speech(tmp_path: Path) -> None:
    requests = [Request(id=str(number), text=text) for number, text in enumerate(LINES)]
    everything = say_texts(voice(), requests, tmp_path, registry=default_registry())
    said = set(tmp_path.rglob("*.wav"))
    few = say_texts(voice(), requests[:2], tmp_path, registry=default_registry())
    assert set(tmp_path.rglob("*.wav")) == said
    for spoken, count in ((everything, len(LINES)), (few, 2)):
        assert spoken.utterances == count
        assert len((tmp_path / spoken.table).read_text("utf-8").splitlines()) == count


def test_further_takes_of_a_text_are_other_speech(tmp_path: Path) -> None:
    requests = [Request(id="0", text=LINES[0])]
    once = say_texts(voice(), requests, tmp_path, registry=default_registry())
    twice = say_texts(voice(), requests * 2, tmp_path, registry=default_registry())
    assert (once.utterances, twice.utterances) == (1, 2)
    rows = [json.loads(row) for row in (tmp_path / twice.table).read_text("utf-8").splitlines()]
    first, second = (np.load(tmp_path / LATENTS / f"{row['id']}.npy") for row in rows)
    assert rows[0]["text"] == rows[1]["text"] == LINES[0]
    assert first.shape != second.shape or not np.allclose(first, second)


def context(samples: int) -> ExtractionContext:
    return ExtractionContext(
        audio=MelSpec(),
        load_audio=lambda _: np.zeros(samples, dtype=np.float32),
        audio_key={},
        frontend=lambda _: pytest.fail("texts are not read"),
        text_key={},
    )


def extractor(folder: Path, samples: int) -> LatentsExtractor:
    return LatentsExtractor(LatentsConfig(directory=str(folder)), context(samples))


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


def test_encoded_text_is_read_as_it_is(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 48), dtype=np.float16))
    np.save(tmp_path / "b.npy", np.ones(3, dtype=np.int64))
    read = EncodedTextExtractor(EncodedTextConfig(directory=str(tmp_path)), context(0))
    utterances = [Utterance(id=id, audio=f"{id}.wav", text="abc") for id in "ab"]
    found, dropped = read.extract(utterances)
    assert isinstance(found, np.ndarray)
    assert found.shape == (3, 48)
    assert isinstance(dropped, Dropped)
    assert "int64 [3], expected floats of two dimensions" in dropped.detail


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
