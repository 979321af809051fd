"""Configuration of codecs: the codec of a model, and the architecture and training of a codec.

`CodecConfig` is the table `[model.codec]`, `CodecArchitecture` the table `[vocoder]` and
`CodecTrainerConfig` the table `[trainer]` of an experiment that trains a codec. Imports no torch.
"""

from __future__ import annotations

import math
from typing import Any

from attrs import Attribute, Factory, field, frozen, validators

from allophone.audio.melspec import MelSpec
from allophone.errors import ConfigError

_positive: Any = validators.gt(0)
_not_negative: Any = validators.ge(0)

PUBLISHED = "encodec-24khz"
"""`place` of the published EnCodec."""

FAKE = "fake"
"""`place` of the fake codec, for tests."""


def _at_least(minimum: int) -> Any:
    """Validator of non-empty tuples of integers >= `minimum`."""

    def validate(instance: Any, attribute: Attribute[Any], value: tuple[int, ...]) -> None:
        if not value or min(value) < minimum:
            raise ConfigError(
                f"{type(instance).__name__}.{attribute.name} must be one or more integers >= {minimum}, "
                f"got {value}"
            )

    return validate


@frozen(kw_only=True)
class FakeCodecConfig:
    """Format of the fake codec, for `place = "fake"`."""

    sample_rate: int = field(default=16000, validator=_positive)
    hop_length: int = field(default=320, validator=_positive)
    codebooks: int = field(default=8, validator=_positive)
    bins: int = field(default=64, validator=validators.ge(2))

    def __attrs_post_init__(self) -> None:
        if self.codebooks > self.hop_length:
            raise ConfigError(
                f"model.codec.fake.codebooks ({self.codebooks}) must not exceed "
                f"model.codec.fake.hop_length ({self.hop_length}): each codebook codes one coefficient"
            )


@frozen(kw_only=True)
class CodecConfig:
    """The codec of a model: the table `[model.codec]`.

    place: "encodec-24khz" for the published EnCodec, "fake", or the path of a folder, run or checkpoint
        of a codec trained with Allophone. Relative paths are first searched in the voice folder.
    weights: local file with the weights of the published EnCodec; None uses the package's cache and
        downloads them if needed.
    bandwidth: bandwidth of the published EnCodec in kbit/s; 1.5, 3, 6, 12 and 24 correspond to 2, 4, 8, 16
        and 32 codebooks.
    fingerprint: required fingerprint of the codec; None accepts any.
    fake: format of the fake codec.
    """

    place: str = field(default=PUBLISHED, validator=validators.min_len(1))
    weights: str | None = None
    bandwidth: float = field(default=6.0, validator=_positive)
    fingerprint: str | None = None
    fake: FakeCodecConfig = Factory(FakeCodecConfig)


@frozen(kw_only=True)
class CodecArchitecture:
    """A codec with the architecture of EnCodec (Defossez et al. 2022, section 3.1), `type = "codec"`.

    filters: channels of the encoder's first layer; each stage doubles them.
    ratios: upsampling ratios of the decoder; the encoder uses them in reverse. Their product is the hop
        length.
    residual_layers: residual blocks per stage.
    lstm_layers: LSTM layers at the end of the encoder and at the start of the decoder.
    dimension: dimension of the latent vectors.
    codebooks, bins: number of residual quantizer stages, and entries per codebook.
    """

    filters: int = field(default=32, validator=_positive)
    ratios: tuple[int, ...] = field(default=(8, 5, 4, 2), validator=_at_least(2))
    residual_layers: int = field(default=1, validator=_positive)
    lstm_layers: int = field(default=2, validator=_not_negative)
    dimension: int = field(default=128, validator=_positive)
    codebooks: int = field(default=8, validator=_positive)
    bins: int = field(default=1024, validator=validators.ge(2))

    @property
    def hop_length(self) -> int:
        """Samples per frame of codes."""
        return math.prod(self.ratios)

    def check_audio(self, audio: MelSpec) -> None:
        """Raise ConfigError unless the hop length is that of `[audio]`."""
        audio.check_upsampling(self.ratios, "vocoder.ratios")


@frozen(kw_only=True)
class CodecTrainerConfig:
    """Codec training, `type = "valle.codec"`.

    segment_size: samples per utterance in a training step.
    decay: factor on the learning rates after each epoch.
    mel_sizes: window sizes of the multi-scale mel loss, in samples.
    waveform_weight, mel_weight: weights of the L1 losses on waveforms and on log mels.
    commitment_weight: weight of the commitment loss of the quantizer.
    bypass: probability of passing an utterance to the decoder unquantized, which trains encoder and
        decoder before the codebooks are useful (Defossez et al. 2024, section 3.3.2).
    stft_sizes: FFT sizes of the complex STFT discriminators; empty for non-adversarial training.
    stft_channels: channels of the discriminators.
    adversarial_weight, feature_weight: weights of the adversarial and feature matching losses.
    """

    learning_rate: float = field(default=3e-4, validator=_positive)
    betas: tuple[float, float] = (0.8, 0.99)
    decay: float = field(default=0.999, validator=validators.and_(_positive, validators.le(1.0)))
    segment_size: int = field(default=16000, validator=_positive)
    mel_sizes: tuple[int, ...] = field(default=(2048, 1024, 512, 256), validator=_at_least(64))
    waveform_weight: float = field(default=5.0, validator=_not_negative)
    mel_weight: float = field(default=45.0, validator=_not_negative)
    commitment_weight: float = field(default=1.0, validator=_not_negative)
    bypass: float = field(default=0.5, validator=[validators.ge(0), validators.lt(1)])
    stft_sizes: tuple[int, ...] = ()
    stft_channels: int = field(default=32, validator=_positive)
    adversarial_weight: float = field(default=1.0, validator=_not_negative)
    feature_weight: float = field(default=2.0, validator=_not_negative)

    def check_segment(self, audio: MelSpec) -> None:
        """Raise ConfigError unless a segment is a multiple of the hop and no shorter than any window."""
        audio.whole_frames(self.segment_size, "trainer.segment_size")
        longest = max(*self.mel_sizes, *self.stft_sizes)
        if self.segment_size < longest:
            raise ConfigError(
                f"trainer.segment_size ({self.segment_size}) must be at least the largest of "
                f"trainer.mel_sizes and trainer.stft_sizes ({longest})"
            )


@frozen(kw_only=True)
class CodesConfig:
    """Codes of an utterance by the codec of `[model.codec]`, `type = "codes"`."""
