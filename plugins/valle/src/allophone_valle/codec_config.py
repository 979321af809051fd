"""The configuration of codecs: which one a model speaks through, and one that is trained here.

`CodecConfig` is the table `[model.codec]`, `CodecArchitecture` the table `[vocoder]` and
`CodecTrainerConfig` the table `[trainer]` of an experiment that trains a codec. Light: attrs alone.
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
"""The place of EnCodec as its authors trained it."""

FAKE = "fake"
"""The place of the codec that learns nothing, for tests."""


def _at_least(least: int) -> Any:
    """A validator of tuples of whole numbers, which must not be empty."""

    def validate(instance: Any, attribute: Attribute[Any], value: tuple[int, ...]) -> None:
        if not value or min(value) < least:
            raise ConfigError(
                f"{type(instance).__name__}.{attribute.name} must hold numbers of {least} and more, "
                f"not {value}"
            )

    return validate


@frozen(kw_only=True)
class FakeCodecConfig:
    """What the codec for tests pretends to be, where `place = "fake"`."""

    sample_rate: int = field(default=16000, validator=_positive)
    hop_length: int = field(default=320, validator=_positive)
    codebooks: int = field(default=8, validator=_positive)
    bins: int = field(default=64, validator=validators.ge(2))

    def __attrs_post_init__(self) -> None:
        if self.codebooks > self.hop_length:
            raise ConfigError(
                f"A frame of {self.hop_length} samples has no more than as many coefficients, and "
                f"model.codec.fake.codebooks asks for {self.codebooks}"
            )


@frozen(kw_only=True)
class CodecConfig:
    """Which codec a model speaks through: the table `[model.codec]`.

    place: "encodec-24khz" for EnCodec as published, "fake", or the folder, the run or the checkpoint of
        a codec that was trained here. A path that is not absolute is first looked for in the voice's
        own folder.
    weights: of the published EnCodec, a local file; None takes them from the package's cache, or
        downloads them there.
    bandwidth: of the published EnCodec, in kbit/s: 1.5, 3, 6, 12 and 24 are 2, 4, 8, 16 and 32 codebooks.
    fingerprint: what the codec must be, such as a voice was trained with; None takes any.
    fake: what the fake codec pretends to be.
    """

    place: str = field(default=PUBLISHED, validator=validators.min_len(1))
    weights: str | None = None
    bandwidth: float = field(default=6.0, validator=_positive)
    fingerprint: str | None = None
    fake: FakeCodecConfig = Factory(FakeCodecConfig)


@frozen(kw_only=True)
class CodecArchitecture:
    """A codec of EnCodec's kind (Defossez et al. 2022, section 3.1), `type = "codec"`.

    filters: channels next to the waveform; each stage of the encoder doubles them.
    ratios: by how much each stage of the decoder raises the rate; the encoder's are these, reversed.
        Their product is the hop length.
    residual_layers: residual blocks before each stage.
    lstm_layers: recurrent layers between encoder and quantizer, and again before the decoder.
    dimension: of the vectors that are quantized.
    codebooks, bins: stages of the residual quantizer, and the vectors that each may choose from.
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
        """Samples to a frame of codes."""
        return math.prod(self.ratios)

    def check_audio(self, audio: MelSpec) -> None:
        """ConfigError unless a frame of codes is a frame of `[audio]`."""
        audio.check_upsampling(self.ratios, "vocoder.ratios")


@frozen(kw_only=True)
class CodecTrainerConfig:
    """Training a codec, `type = "valle.codec"`.

    segment_size: samples of each utterance in a step.
    decay: factor on the learning rates after each epoch.
    mel_sizes: windows, in samples, of the mels that are compared.
    waveform_weight, mel_weight: of the L1 distances of waveforms and of logarithmic mels.
    commitment_weight: of the distance between vectors and the codes chosen for them.
    bypass: how likely an utterance reaches the decoder unquantized, so that encoder and decoder learn
        from each other before codebooks have learned anything (Defossez et al. 2024, section 3.3.2).
    stft_sizes: one discriminator of the complex spectrum for each length of transform; none, and
        training is not adversarial.
    stft_channels: of the discriminators' layers.
    adversarial_weight, feature_weight: of the losses that discriminators add.
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
        """ConfigError unless a segment is whole frames, and longer than each window."""
        audio.whole_frames(self.segment_size, "trainer.segment_size")
        longest = max(*self.mel_sizes, *self.stft_sizes)
        if self.segment_size < longest:
            raise ConfigError(
                f"trainer.segment_size ({self.segment_size}) is shorter than a window of {longest} "
                "samples, of trainer.mel_sizes or trainer.stft_sizes"
            )


@frozen(kw_only=True)
class CodesConfig:
    """The codes of an utterance, `type = "codes"`: those of the codec that `[model.codec]` names."""
