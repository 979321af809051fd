"""Peculiarities of speech corpora: texts, microphones, subsets, stress marks, malformed lists."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from attrs import evolve
from corpus_trees import record, write

from allophone.config import structure
from allophone.errors import ConfigError, UserError
from allophone_corpora import asterisk, festvox, libritts, ljspeech, vctk
from allophone_corpora.config import (
    AsteriskConfig,
    FestvoxConfig,
    LibriTTSConfig,
    LJSpeechConfig,
    VCTKConfig,
)


def by_id(utterances):
    return {utterance.id: utterance for utterance in utterances}


@pytest.fixture
def lj(tmp_path):
    write(
        tmp_path / "metadata.csv",
        'LJ001-0001|Printing, in 1453, "the"|Printing, in fourteen fifty-three, "the"\n'
        "LJ001-0002|in being|in being\n",
    )
    record(tmp_path / "wavs" / "LJ001-0001.wav")
    record(tmp_path / "wavs" / "LJ001-0002.wav")
    return tmp_path


def test_ljspeech(lj):
    first, second = ljspeech.read(LJSpeechConfig(root=str(lj)))
    assert first.text == 'Printing, in fourteen fifty-three, "the"'
    assert first.audio == str(lj / "wavs" / "LJ001-0001.wav")
    assert (first.speaker, first.language, first.split) == (None, None, None)
    assert second.id == "LJ001-0002"
    original, _ = ljspeech.read(LJSpeechConfig(root=str(lj), text="original", language="en-gb"))
    assert (original.text, original.language) == ('Printing, in 1453, "the"', "en-gb")


def test_home_folder_and_windows_line_endings(lj, monkeypatch):
    monkeypatch.setenv("HOME", str(lj.parent))
    metadata = lj / "metadata.csv"
    metadata.write_bytes(metadata.read_bytes().replace(b"\n", b"\r\n"))
    assert [u.text for u in ljspeech.read(LJSpeechConfig(root=f"~/{lj.name}"))][1] == "in being"


def test_a_malformed_line_is_an_error(lj):
    write(lj / "metadata.csv", "LJ001-0001|a|a\nLJ001-0002|b\n")
    with pytest.raises(UserError, match=r"metadata\.csv:2 has 2 fields"):
        list(ljspeech.read(LJSpeechConfig(root=str(lj))))


def test_an_empty_list_is_an_error(lj):
    write(lj / "metadata.csv", "\n")
    with pytest.raises(UserError, match="is empty"):
        list(ljspeech.read(LJSpeechConfig(root=str(lj))))


def test_a_list_in_another_encoding_is_an_error(lj):
    (lj / "metadata.csv").write_bytes("LJ001|grün|grün\n".encode("latin-1"))
    with pytest.raises(UserError, match="not UTF-8"):
        list(ljspeech.read(LJSpeechConfig(root=str(lj))))


@pytest.fixture
def voices(tmp_path):
    """p225 with both microphones, p280 with one, p315 without text, and a text without recording."""
    audio = tmp_path / "wav48_silence_trimmed"
    write(tmp_path / "txt/p225/p225_001.txt", "Please call Stella.\n")
    record(audio / "p225/p225_001_mic1.flac")
    record(audio / "p225/p225_001_mic2.flac")
    write(tmp_path / "txt/p280/p280_001.txt", "Please call Stella.\n")
    record(audio / "p280/p280_001_mic1.flac")
    record(audio / "p315/p315_001_mic1.flac")
    write(tmp_path / "txt/s5/s5_002.txt", "Ask her.\n")
    write(audio / "log.txt", "")
    return tmp_path


def test_vctk(voices):
    found = by_id(vctk.read(VCTKConfig(root=str(voices), microphones=("mic1", "mic2"))))
    assert list(found) == [
        "p225_001_mic1",
        "p225_001_mic2",
        "p280_001_mic1",
        "p315_001_mic1",
        "s5_002_mic1",
    ]
    assert found["p225_001_mic2"].text == found["p225_001_mic1"].text == "Please call Stella."
    assert found["p225_001_mic2"].speaker == "p225"
    assert found["p315_001_mic1"].text == ""
    assert not Path(found["s5_002_mic1"].audio).exists()


def test_vctk_reads_one_microphone_by_default(voices):
    found = by_id(vctk.read(VCTKConfig(root=str(voices))))
    assert "p225_001_mic2" not in found
    with pytest.raises(ConfigError, match="microphones"):
        structure(VCTKConfig, {"root": "x", "microphones": ["mic3"]})


@pytest.fixture
def libri(tmp_path):
    for subset, name in (
        ("train-clean-100", "103_1240_000000_000001"),
        ("dev-clean", "84_121123_000007_000001"),
        ("test-other", "367_130732_000001_000000"),
    ):
        speaker, chapter, *_ = name.split("_")
        wav = record(tmp_path / subset / speaker / chapter / f"{name}.wav")
        write(wav.with_suffix(".normalized.txt"), "Doctor who.")
        write(wav.with_suffix(".original.txt"), "Dr. who.")
    return tmp_path


def test_libritts_keeps_its_published_splits(libri):
    subsets = ("train-clean-100", "dev-clean", "test-other")
    found = list(libritts.read(LibriTTSConfig(root=str(libri), subsets=subsets)))
    assert [(u.speaker, u.split) for u in found] == [
        ("103", "train"),
        ("84", "valid"),
        ("367", "test"),
    ]
    assert found[0].text == "Doctor who."


def test_libritts_training_subsets_use_the_seeded_split(libri):
    (only,) = libritts.read(LibriTTSConfig(root=str(libri), text="original"))
    assert (only.split, only.text) == (None, "Dr. who.")


def test_a_libritts_folder_without_recordings_is_an_error(libri):
    (libri / "train-clean-360").mkdir()
    with pytest.raises(UserError, match="Found no utterances in .*train-clean-360"):
        list(libritts.read(LibriTTSConfig(root=str(libri), subsets=("train-clean-360",))))


def test_a_recording_without_text_is_listed(libri):
    next(libri.glob("train-clean-100/*/*/*.normalized.txt")).unlink()
    (only,) = libritts.read(LibriTTSConfig(root=str(libri)))
    assert only.text == ""


@pytest.fixture
def russian(tmp_path):
    write(
        tmp_path / "etc/txt.done.data",
        '( ru_0001 "Она завела прядь вол+ос" )\n( ru_0002 "Он сказал \\"да\\"." )\n',
    )
    record(tmp_path / "wav/ru_0001.wav")
    record(tmp_path / "wav/ru_0002.wav")
    write(tmp_path / "lab/ru_0001.lab", "#\n0.1 125 pau\n")
    return tmp_path


def test_festvox(russian):
    first, second = festvox.read(FestvoxConfig(root=str(russian)))
    assert first.text == "Она завела прядь вол+ос"
    assert second.text == 'Он сказал "да".'
    assert first.labels == str(russian / "lab/ru_0001.lab")
    assert second.labels is None


def test_festvox_converts_stress_marks_to_accents(russian):
    first, _ = festvox.read(FestvoxConfig(root=str(russian), stress_mark="+"))
    assert first.text == "Она завела прядь воло\N{COMBINING ACUTE ACCENT}с"


def test_a_malformed_festvox_line_is_an_error(russian):
    write(russian / "etc/txt.done.data", '( ru_0001 "a" )\n( ru_0002 b )\n')
    with pytest.raises(UserError, match=r"txt\.done\.data:2 is not of the form"):
        list(festvox.read(FestvoxConfig(root=str(russian))))


@pytest.fixture
def prompts(tmp_path):
    text = (
        "; Core sounds\n\nactivated: Activated.\nbeep: [a beep]\nletters/at: at [@]\n"
        "time: It is: noon\ntry-later: Please call later.\n"
    )
    (tmp_path / "list.txt.gz").write_bytes(gzip.compress(text.encode()))
    for name in ("activated.g722", "beep.g722", "letters/at.g722", "time.g722"):
        write(tmp_path / name, "")
    write(tmp_path / "time.wav", "")
    return AsteriskConfig(root=str(tmp_path), transcripts="list.txt.gz")


def test_asterisk(prompts):
    found = by_id(asterisk.read(prompts))
    assert {id: u.text for id, u in found.items()} == {
        "activated": "Activated.",
        "beep": "",
        "letters_at": "at",
        "time": "It is: noon",
        "try-later": "Please call later.",
    }
    assert found["letters_at"].audio.endswith("letters/at.g722")
    assert found["time"].audio.endswith("time.wav")
    assert not Path(found["try-later"].audio).exists()


def test_a_malformed_asterisk_line_is_an_error(prompts):
    config = evolve(prompts, transcripts="list.txt")
    write(Path(prompts.root) / "list.txt", "activated: Activated.\nbeep\n")
    with pytest.raises(UserError, match=r"list\.txt:2 is not of the form path: text: beep"):
        list(asterisk.read(config))


def test_missing_or_corrupt_asterisk_transcripts_are_errors(prompts):
    path = Path(prompts.root) / "list.txt.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match=r"list\.txt\.gz cannot be read"):
        list(asterisk.read(prompts))
    path.unlink()
    with pytest.raises(UserError, match="no file of transcripts"):
        list(asterisk.read(prompts))
