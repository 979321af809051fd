"""Contract tests of all codecs, and tests of finding codecs, configs and the quantizer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from attrs import evolve, fields
from encodec.model import EncodecModel
from torch import Tensor

from allophone.audio.melspec import MelSpec
from allophone.errors import ConfigError, UserError
from allophone.inference.config import GriffinLimConfig
from allophone.inference.folder import StoredVocoder, VocoderDescription, write_vocoder
from allophone.inference.protocol import VocoderSpec
from allophone.registry import default_registry
from allophone.synthesis.description import About
from allophone_valle.codec_config import (
    CodecArchitecture,
    CodecConfig,
    CodecTrainerConfig,
    FakeCodecConfig,
)
from allophone_valle.codec_losses import perplexity
from allophone_valle.codecs import published
from allophone_valle.codecs.fake import FakeCodec
from allophone_valle.codecs.network import CodecNetwork
from allophone_valle.codecs.opening import find_codec, open_codec
from allophone_valle.codecs.protocol import (
    Codec,
    CodecFormat,
    Codes,
    check_audio,
    encode_in_batches,
)
from allophone_valle.codecs.quantizer import ResidualQuantizer
from allophone_valle.codecs.trained import build_vocoder

CPU = torch.device("cpu")
FORMAT = tuple(attribute.name for attribute in fields(CodecFormat))
SMALL = CodecArchitecture(
    filters=2, ratios=(5, 4, 2), lstm_layers=1, dimension=8, codebooks=3, bins=16
)
AUDIO = MelSpec(sample_rate=8000, hop_length=40, n_fft=256, win_length=256)


def trained_weights(seed: int = 0) -> dict[str, Tensor]:
    """Weights of a codec trained briefly on noise, so that its codebooks are in its encoder's range."""
    torch.manual_seed(seed)
    network = CodecNetwork(SMALL).train()
    for _ in range(3):
        network(torch.randn(4, 4000))
    return network.state_dict()


def noise_batch(*lengths: int) -> tuple[Tensor, Tensor]:
    """Noise [B, N] with lengths [B]; the padding is noise too and must be ignored."""
    torch.manual_seed(1)
    return 0.3 * torch.randn(len(lengths), max(lengths)), torch.tensor(lengths)


class CodecContract:
    """Properties that codec language models rely on."""

    @pytest.fixture(scope="class")
    @classmethod
    def codec(cls) -> Codec:
        raise NotImplementedError

    def test_number_of_frames_is_rounded_up(self, codec: Codec) -> None:
        hop = codec.hop_length
        waveform, lengths = noise_batch(1, hop - 1, hop, hop + 1, 20 * hop)
        codes = codec.encode(waveform, lengths)
        assert codes.lengths.tolist() == [1, 1, 1, 2, 20]
        assert codes.codes.shape == (5, codec.codebooks, 20)
        assert codes.codes.dtype == torch.int64
        assert int(codes.codes.min()) >= 0
        assert int(codes.codes.max()) < codec.bins
        assert not codes.codes[2, :, 1:].any()

    def test_batching_does_not_change_the_result(self, codec: Codec) -> None:
        hop = codec.hop_length
        waveform, lengths = noise_batch(3 * hop - 7, 30 * hop, 11 * hop + 1, 5)
        codes = codec.encode(waveform, lengths)
        speech = codec.decode(codes.codes, codes.lengths)
        assert speech.shape == (4, 30 * hop)
        for row, (length, frames) in enumerate(
            zip(lengths.tolist(), codes.lengths.tolist(), strict=True)
        ):
            alone = codec.encode(waveform[row : row + 1, :length], lengths[row : row + 1])
            assert torch.equal(alone.codes[0], codes.codes[row, :, :frames])
            decoded = codec.decode(alone.codes, alone.lengths)[0]
            assert decoded.shape == (frames * hop,)
            torch.testing.assert_close(decoded, speech[row, : len(decoded)], rtol=0, atol=1e-5)
            assert not speech[row, len(decoded) :].any()

    def test_utterances_are_encoded_in_length_buckets(self, codec: Codec) -> None:
        hop = codec.hop_length
        waveform, lengths = noise_batch(12 * hop, 40 * hop, 3 * hop, 11 * hop, 2 * hop)
        rows = [row[:length] for row, length in zip(waveform, lengths.tolist(), strict=True)]
        batches = []

        class Recorder(CodecFormat):
            def encode(self, waveform: Tensor, lengths: Tensor) -> Codes:
                batches.append(lengths.tolist())
                return codec.encode(waveform, lengths)

        recorder = Recorder(**{name: getattr(codec, name) for name in FORMAT})
        encoded = encode_in_batches(recorder, rows, batch_seconds=25 * hop / codec.sample_rate)
        assert batches == [[2 * hop, 3 * hop], [11 * hop, 12 * hop], [40 * hop]]
        for row, codes in zip(rows, encoded, strict=True):
            alone = codec.encode(row.unsqueeze(0), torch.tensor([len(row)]))
            assert torch.equal(codes, alone.codes[0])

    def test_audio_settings_must_match(self, codec: Codec) -> None:
        fitting = MelSpec(sample_rate=codec.sample_rate, hop_length=codec.hop_length)
        check_audio(codec, fitting)
        with pytest.raises(ConfigError, match=rf"hop_length is 100, expected {codec.hop_length}"):
            check_audio(codec, evolve(fitting, hop_length=100))


class TestFake(CodecContract):
    @pytest.fixture(scope="class")
    @classmethod
    def codec(cls) -> Codec:
        return FakeCodec.from_config(FakeCodecConfig())

    def test_encoding_decoded_audio_gives_the_same_codes(self, codec: Codec) -> None:
        codes = torch.randint(0, 63, (2, 8, 30))
        lengths = torch.tensor([30, 30])
        waveform = codec.decode(codes, lengths)
        assert torch.equal(codec.encode(waveform, 320 * lengths).codes, codes)

    def test_low_frequencies_are_preserved(self, codec: Codec) -> None:
        waveform = 0.5 * (2 * torch.pi * 100 / 16000 * torch.arange(16000)).sin().unsqueeze(0)
        codes = codec.encode(waveform, torch.tensor([16000]))
        decoded = codec.decode(codes.codes, codes.lengths)
        assert float((decoded - waveform).norm()) < 0.4 * float(waveform.norm())

    def test_silence_is_preserved(self, codec: Codec) -> None:
        codes = codec.encode(torch.zeros(1, 640), torch.tensor([640]))
        assert not codec.decode(codes.codes, codes.lengths).any()


class TestTrained(CodecContract):
    @pytest.fixture(scope="class")
    @classmethod
    def codec(cls) -> Codec:
        return build_vocoder(VocoderSpec(vocoder=SMALL, audio=AUDIO), trained_weights(), CPU).codec

    def test_decoding_mels_is_an_error(self) -> None:
        vocoder = build_vocoder(VocoderSpec(vocoder=SMALL, audio=AUDIO), trained_weights(), CPU)
        with pytest.raises(UserError, match="decodes its own codes"):
            vocoder.vocode(torch.zeros(1, 80, 3), torch.tensor([3]))

    def test_codec_matches_the_network(self, codec: Codec) -> None:
        network = CodecNetwork(SMALL).eval()
        network.load_state_dict(trained_weights())
        waveform, lengths = noise_batch(2000)
        with torch.no_grad():
            coded = network(waveform)
        codes = codec.encode(waveform, lengths)
        assert torch.equal(codes.codes, coded.quantized.codes)
        torch.testing.assert_close(
            codec.decode(codes.codes, codes.lengths), coded.waveform, rtol=0, atol=1e-5
        )


@pytest.fixture(scope="module")
def encodec() -> EncodecModel:
    """EnCodec with random weights."""
    torch.manual_seed(0)
    return EncodecModel.encodec_model_24khz(pretrained=False)


class TestPublished(CodecContract):
    @pytest.fixture(scope="class")
    @classmethod
    def codec(cls) -> Codec:
        torch.manual_seed(0)
        model = EncodecModel.encodec_model_24khz(pretrained=False)
        config = CodecConfig()
        return published.codec_of(model, published.format_of(config), config.bandwidth, CPU)

    def test_codec_matches_the_package(self, codec: Codec, encodec: EncodecModel) -> None:
        encodec.set_target_bandwidth(6.0)
        waveform, lengths = noise_batch(24000)
        with torch.no_grad():
            ((theirs, _),) = encodec.encode(waveform.unsqueeze(1))
            decoded = encodec.decode([(theirs, None)]).squeeze(1)
        ours = codec.encode(waveform, lengths)
        assert torch.equal(ours.codes, theirs)
        torch.testing.assert_close(
            codec.decode(ours.codes, ours.lengths), decoded, rtol=0, atol=1e-6
        )

    def test_weights_from_a_file(self, encodec: EncodecModel, tmp_path: Path) -> None:
        torch.save(encodec.state_dict(), tmp_path / "encodec.th")
        config = CodecConfig(weights=str(tmp_path / "encodec.th"), bandwidth=1.5)
        codec = open_codec(config, device=CPU, registry=default_registry())
        assert (codec.codebooks, codec.bins, codec.sample_rate) == (2, 1024, 24000)
        encodec.set_target_bandwidth(1.5)
        waveform, lengths = noise_batch(6400)
        with torch.no_grad():
            ((theirs, _),) = encodec.encode(waveform.unsqueeze(1))
        assert torch.equal(codec.encode(waveform, lengths).codes, theirs)

        fingerprints = {
            codec.fingerprint,
            published.format_of(evolve(config, bandwidth=3.0)).fingerprint,
        }
        other = {**encodec.state_dict()}
        other["decoder.model.0.conv.conv.bias"] = other["decoder.model.0.conv.conv.bias"] + 1
        torch.save(other, tmp_path / "other.th")
        changed = evolve(config, weights=str(tmp_path / "other.th"))
        assert len(fingerprints | {published.format_of(changed).fingerprint}) == 3

    def test_weights_of_another_model(self, tmp_path: Path) -> None:
        torch.save({"decoder.bias": torch.zeros(3)}, tmp_path / "else.th")
        config = CodecConfig(weights=str(tmp_path / "else.th"))
        with pytest.raises(UserError, match="do not fit the model"):
            open_codec(config, device=CPU, registry=default_registry())

    def test_missing_weights(self, tmp_path: Path) -> None:
        config = CodecConfig(weights=str(tmp_path / "none.th"))
        with pytest.raises(UserError, match="Cannot read the weights"):
            find_codec(config, registry=default_registry())

    def test_failed_download(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object, **__: object) -> None:
            raise URLError("no network")

        monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
        monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
        found = find_codec(CodecConfig(), registry=default_registry())
        assert found.format.fingerprint == "encodec-24khz-d7cc33bc-8"
        with pytest.raises(UserError, match="no network") as failure:
            found.open(CPU)
        assert str(tmp_path / "checkpoints" / published.WEIGHTS) in str(failure.value)
        assert "model.codec.weights" in str(failure.value)

    def test_unsupported_bandwidth(self) -> None:
        with pytest.raises(ConfigError, match="bandwidth = 7 "):
            find_codec(CodecConfig(bandwidth=7.0), registry=default_registry())


def write_codec(folder: Path, weights: dict[str, Tensor]) -> str:
    """Write the folder of a trained codec; returns its path."""
    description = VocoderDescription(
        about=About(name="codec", licence="none"), vocoder=SMALL, audio=AUDIO
    )
    write_vocoder(folder, StoredVocoder(description=description, weights=weights))
    return str(folder)


class TestFinding:
    def test_the_fingerprint_depends_on_the_weights_only(self, tmp_path: Path) -> None:
        registry = default_registry()
        here = write_codec(tmp_path / "here", trained_weights())
        codec = open_codec(CodecConfig(place=here), device=CPU, registry=registry)
        assert (codec.sample_rate, codec.hop_length, codec.codebooks, codec.bins) == (
            8000,
            40,
            3,
            16,
        )
        write_codec(tmp_path / "voice" / "codec", trained_weights())
        bundled = CodecConfig(place="codec", fingerprint=codec.fingerprint)
        found = find_codec(bundled, registry=registry, folder=tmp_path / "voice")
        assert found.format.fingerprint == codec.fingerprint
        other = write_codec(tmp_path / "other", trained_weights(seed=1))
        with pytest.raises(UserError, match=f"needs {codec.fingerprint}"):
            find_codec(evolve(bundled, place=other), registry=registry)

    def test_invalid_codecs_are_reported(self, tmp_path: Path) -> None:
        registry = default_registry()
        with pytest.raises(UserError, match="'encodec-24kz' not found") as failure:
            find_codec(CodecConfig(place="encodec-24kz"), registry=registry)
        assert "'encodec-24khz'" in str(failure.value)
        description = VocoderDescription(
            about=About(name="mels", licence="none"), vocoder=GriffinLimConfig(), audio=AUDIO
        )
        write_vocoder(tmp_path / "mels", StoredVocoder(description=description, weights={}))
        with pytest.raises(UserError, match="not a codec"):
            find_codec(CodecConfig(place=str(tmp_path / "mels")), registry=registry)


class TestConfig:
    def test_invalid_configs_are_rejected(self) -> None:
        with pytest.raises(ConfigError, match=r"codebooks \(321\)"):
            FakeCodecConfig(codebooks=321)
        with pytest.raises(ConfigError, match="integers >= 2"):
            CodecArchitecture(ratios=(8, 1))
        with pytest.raises(ConfigError, match=r"8 x 5 x 4 x 2 = 320.*hop_length is 256"):
            CodecArchitecture().check_audio(MelSpec())
        with pytest.raises(ConfigError, match="not a multiple"):
            CodecTrainerConfig(segment_size=16001).check_segment(MelSpec(hop_length=320))
        with pytest.raises(ConfigError, match=r"\(2048\)"):
            CodecTrainerConfig(segment_size=640).check_segment(MelSpec(hop_length=320))


def quantizer_and_clusters(steps: int) -> tuple[ResidualQuantizer, Tensor]:
    """A quantizer trained for some steps, and its data: 4 x 4 clusters of points [B, D, F]."""
    torch.manual_seed(0)
    quantizer = ResidualQuantizer(codebooks=2, bins=4, dimension=2)
    steps_apart = torch.arange(4.0)
    coarse = torch.cartesian_prod(steps_apart[:2], steps_apart[:2]) * 10
    fine = torch.cartesian_prod(steps_apart[:2], steps_apart[:2])
    points = (coarse[:, None] + fine).reshape(1, 16, 2).transpose(1, 2)
    for _ in range(steps):
        quantizer(points + 0.01 * torch.randn(points.shape))
    return quantizer, points


class TestQuantizer:
    def test_all_stages_are_trained(self) -> None:
        quantizer, points = quantizer_and_clusters(400)
        quantized = quantizer.eval()(points)
        assert [len(codes.unique()) for codes in quantized.codes.unbind(1)] == [4, 4]
        assert (quantized.vectors - points).square().mean() < 0.01 * points.var()
        assert torch.equal(quantizer.encode(points), quantized.codes)
        torch.testing.assert_close(quantizer.decode(quantized.codes), quantized.vectors)

    def test_commitment_has_gradients_from_every_stage(self) -> None:
        torch.manual_seed(0)
        vectors = torch.randn(2, 4, 5, requires_grad=True)
        quantizer = ResidualQuantizer(codebooks=3, bins=4, dimension=4).eval()
        expected = torch.zeros_like(vectors)
        residual = vectors.detach()
        for stage in range(3):
            one = ResidualQuantizer(codebooks=1, bins=4, dimension=4).eval()
            one.vectors.copy_(quantizer.vectors[stage : stage + 1])
            chosen = one.decode(one.encode(residual))
            residual = residual - chosen
            assert residual.norm() > 0
            expected += 2 * residual / residual.numel() / 3
        (gradient,) = torch.autograd.grad(quantizer(vectors).commitment, vectors)
        torch.testing.assert_close(gradient, expected)

    def test_gradients_are_straight_through(self) -> None:
        vectors = torch.randn(2, 4, 5, requires_grad=True)
        quantized = ResidualQuantizer(codebooks=3, bins=4, dimension=4)(vectors)
        (gradient,) = torch.autograd.grad(quantized.vectors.sum(), vectors)
        assert torch.equal(gradient, torch.ones_like(vectors))

    def test_dead_codes_are_replaced(self) -> None:
        quantizer, points = quantizer_and_clusters(400)
        quantizer.vectors[0, 0] = 1e3
        quantizer.sums[0, 0] = 1e3 * quantizer.counts[0, 0]
        assert len(quantizer.encode(points)[0, 0].unique()) == 3
        quantizer.train()
        for _ in range(400):
            quantizer(points)
        assert len(quantizer.encode(points)[0, 0].unique()) == 4

    def test_codebooks_change_only_in_training(self) -> None:
        quantizer, points = quantizer_and_clusters(3)
        before = {name: buffer.clone() for name, buffer in quantizer.named_buffers()}
        quantizer.eval()(points)
        quantizer.encode(points)
        assert all(torch.equal(before[name], b) for name, b in quantizer.named_buffers())

    def test_codebooks_are_the_same_on_all_ranks(self, tmp_path: Path) -> None:
        script = str(Path(__file__).with_name("quantizing_rank.py"))
        ranks = [
            subprocess.Popen([sys.executable, script, str(rank), str(tmp_path)])
            for rank in range(2)
        ]
        assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
        one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
        assert all(torch.equal(one[name], other[name]) for name in one)

    def test_perplexity_counts_codes_in_use(self) -> None:
        assert float(perplexity(torch.tensor([[0, 3, 5, 7]]), 8)) == pytest.approx(4)
        assert float(perplexity(torch.tensor([[2, 2, 2]]), 8)) == pytest.approx(1)


def test_initialization_preserves_the_signal() -> None:
    torch.manual_seed(0)
    network = CodecNetwork(CodecArchitecture(filters=8, dimension=32))
    with torch.no_grad():
        vectors = network.encoder(0.1 * torch.randn(2, 1, 16000))
    assert float(vectors.std(2).mean()) > float(vectors.mean(2).abs().mean())
