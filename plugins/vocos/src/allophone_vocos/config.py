"""The configuration of Vocos: `type = "vocos"` of `[vocoder]`, and of a model's `[model.decoder]`.

Light: imports only attrs.
"""

from __future__ import annotations

from typing import Any

from attrs import Attribute, Factory, field, frozen, validators

from allophone.audio.melspec import MelSpec
from allophone.errors import ConfigError

_positive: Any = validators.gt(0)


def _odd(instance: Any, attribute: Attribute[Any], value: int) -> None:
    if value < 1 or value % 2 == 0:
        raise ConfigError(f"{attribute.name} must be odd and positive, got {value}")


@frozen(kw_only=True)
class VocosConfig:
    """The generator; the defaults are those of the paper (Siuzdak 2023, appendix A).

    channels: of the frames between blocks; feed_forward_channels: within a block.
    blocks: number of ConvNeXt blocks.
    kernel_size: of the first convolution and of the depthwise convolutions, in frames.
    n_fft: samples of a frame of the inverse STFT, a multiple of twice the hop length.
    """

    channels: int = field(default=512, validator=_positive)
    feed_forward_channels: int = field(default=1536, validator=_positive)
    blocks: int = field(default=8, validator=_positive)
    kernel_size: int = field(default=7, validator=_odd)
    n_fft: int = field(default=1024, validator=_positive)

    def check_audio(self, audio: MelSpec) -> None:
        """Raise ConfigError unless the inverse STFT gives one hop per frame."""
        if self.n_fft % (2 * audio.hop_length):
            raise ConfigError(
                f"n_fft ({self.n_fft}) of the inverse STFT must be a multiple of twice audio.hop_length "
                f"({audio.hop_length}), such as {4 * audio.hop_length}"
            )


@frozen(kw_only=True)
class SpectralLossConfig:
    """Distances of log-mels and of magnitude spectrograms at several window sizes.

    sizes: windows of the spectrograms, in samples; the hop is a quarter.
    per_step: how many of the sizes, drawn at random, a training step computes; more cost time.
    mels: bands of the mel of the largest window; smaller windows have fewer, in proportion to the root.
    mel_weight: of the L1 distance of log-mels.
    stft_weight: of spectral convergence and L1 distance of log magnitudes (Yamamoto et al. 2020, section 2.2).
    phase_weight: of the L1 distance of complex spectra that both have the real one's compressed magnitudes. Only
        where the input determines the waveform, phases included, as the latents of a teacher do, and a mel does not.
    """

    sizes: tuple[int, ...] = (512, 1024, 2048)
    per_step: int = field(default=3, validator=_positive)
    mels: int = field(default=96, validator=_positive)
    mel_weight: float = field(default=15.0, validator=validators.ge(0))
    stft_weight: float = field(default=1.0, validator=validators.ge(0))
    phase_weight: float = field(default=0.0, validator=validators.ge(0))

    def __attrs_post_init__(self) -> None:
        if not self.sizes or min(self.sizes) < 64 or any(size % 4 for size in self.sizes):
            raise ConfigError(
                f"spectral.sizes must be one or more multiples of 4, at least 64, got {self.sizes}"
            )
        if self.per_step > len(self.sizes):
            raise ConfigError(
                f"spectral.per_step ({self.per_step}) is more than the {len(self.sizes)} sizes"
            )


@frozen(kw_only=True)
class DiscriminatorsConfig:
    """Small discriminators of periods, spectrograms and magnitudes; the defaults train on a CPU.

    periods, period_channels: one discriminator per period (Kong et al. 2020, section 2.3), and the channels of
        its layers.
    stft_sizes: one discriminator of the complex spectrogram per window size, in samples.
    spectral_channels: of the first layers of these; the last ones have twice as many.
    magnitude_sizes, magnitude_channels: one discriminator of the log magnitudes per window size, and the channels of
        its layers.
    """

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    period_channels: tuple[int, ...] = field(
        default=(8, 16, 32, 64, 64), validator=validators.min_len(1)
    )
    stft_sizes: tuple[int, ...] = (1024, 512, 256)
    spectral_channels: int = field(default=16, validator=_positive)
    magnitude_sizes: tuple[int, ...] = ()
    magnitude_channels: int = field(default=128, validator=_positive)

    def __attrs_post_init__(self) -> None:
        if not (self.periods or self.stft_sizes or self.magnitude_sizes):
            raise ConfigError("discriminators is empty: set periods, stft_sizes or magnitude_sizes")
        for name in ("stft_sizes", "magnitude_sizes"):
            sizes = getattr(self, name)
            if any(size < 16 or size % 4 for size in sizes):
                raise ConfigError(
                    f"discriminators.{name} must be multiples of 4, at least 16, got {sizes}"
                )


@frozen(kw_only=True)
class VocosTrainerConfig:
    """Training of a decoder on waveforms, `type = "vocos"`: spectral losses, later discriminators too.

    learning_rate, discriminator_rate: after `warmup` steps; both fall along a cosine until step `total_steps`, to a
        twentieth.
    segment_size: samples of each utterance in a step.
    adversarial_from: the first step with discriminators; before it, the spectral losses alone.
    discriminators_lead: steps, from `adversarial_from` on, in which the discriminators learn to tell the two apart and
        the generator does not yet learn from them.
    adversarial_weight, feature_weight: weights of the adversarial and the feature matching loss.
    spectral: the spectral losses, with their weights.
    """

    learning_rate: float = field(default=5e-4, validator=_positive)
    discriminator_rate: float = field(default=1e-3, validator=_positive)
    betas: tuple[float, float] = (0.8, 0.99)
    epsilon: float = field(default=1e-8, validator=_positive)
    weight_decay: float = field(default=0.01, validator=validators.ge(0))
    warmup: int = field(default=200, validator=validators.ge(0))
    total_steps: int = field(default=200_000, validator=_positive)
    segment_size: int = field(default=16384, validator=_positive)
    adversarial_from: int = field(default=1500, validator=validators.ge(0))
    discriminators_lead: int = field(default=0, validator=validators.ge(0))
    adversarial_weight: float = field(default=1.0, validator=validators.ge(0))
    feature_weight: float = field(default=2.0, validator=validators.ge(0))
    spectral: SpectralLossConfig = Factory(SpectralLossConfig)
    discriminators: DiscriminatorsConfig = Factory(DiscriminatorsConfig)

    def segment_frames(self, audio: MelSpec) -> int:
        """`segment_size` in frames; ConfigError if it is not a multiple of the hop length."""
        return audio.whole_frames(self.segment_size, "trainer.segment_size")
