"""The configuration of HiFi-GAN and iSTFTNet: the tables `[vocoder]` and `[trainer]` of an experiment.

The defaults are the published V1 (Kong et al. 2020, section 3 and appendix A.1). Light: imports only attrs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from attrs import Attribute, Factory, evolve, field, frozen, validators

from allophone.audio.melspec import MelSpec
from allophone.errors import ConfigError

_positive: Any = validators.gt(0)
_not_negative: Any = validators.ge(0)


def _each(what: str, is_valid: Any) -> Any:
    """A validator of tuples: `is_valid` must hold for every number; `what` describes them in the error."""

    def validate(instance: Any, attribute: Attribute[Any], value: tuple[int, ...]) -> None:
        if not all(is_valid(number) for number in value):
            raise ConfigError(
                f"{type(instance).__name__}.{attribute.name} must hold {what}, not {value}"
            )

    return validate


_positive_numbers: Any = _each("positive numbers", lambda number: number > 0)
_odd_numbers: Any = _each("odd positive numbers", lambda number: number > 0 and number % 2)


@frozen(kw_only=True)
class UpsamplingConfig:
    """Stages of upsampling, each followed by parallel residual blocks (Kong et al. 2020, section 2.2).

    channels: before the first upsampling; each stage halves them.
    upsample_rates, upsample_kernel_sizes: of the transposed convolution of each stage.
    residual_block: "1" adds a convolution without dilation after each dilated one, "2" does not.
    residual_kernel_sizes, residual_dilations: each entry is one parallel residual block.
    """

    channels: int = field(default=512, validator=_positive)
    upsample_rates: tuple[int, ...] = field(default=(8, 8, 2, 2), validator=_positive_numbers)
    upsample_kernel_sizes: tuple[int, ...] = (16, 16, 4, 4)
    residual_block: Literal["1", "2"] = "1"
    residual_kernel_sizes: tuple[int, ...] = field(default=(3, 7, 11), validator=_odd_numbers)
    residual_dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))

    def __attrs_post_init__(self) -> None:
        self._check_stages()
        self._check_blocks()

    def _check_stages(self) -> None:
        rates, kernels = self.upsample_rates, self.upsample_kernel_sizes
        if not rates or len(rates) != len(kernels):
            raise ConfigError(
                f"upsample_rates has {len(rates)} entries and upsample_kernel_sizes has {len(kernels)}; "
                "both must have one entry per stage"
            )
        for rate, kernel in zip(rates, kernels, strict=True):
            if kernel < rate:
                raise ConfigError(
                    f"upsample_kernel_sizes: a kernel of {kernel} is too small for a rate of "
                    f"{rate}; it must be at least as large as the rate"
                )
        if self.channels % 2 ** len(rates):
            raise ConfigError(f"channels ({self.channels}) cannot be halved {len(rates)} times")

    def _check_blocks(self) -> None:
        kernels, dilations = self.residual_kernel_sizes, self.residual_dilations
        if not kernels or len(kernels) != len(dilations):
            raise ConfigError(
                f"residual_kernel_sizes has {len(kernels)} entries and residual_dilations has "
                f"{len(dilations)}; both must have one entry per block"
            )
        if any(not block or min(block) < 1 for block in dilations):
            raise ConfigError("residual_dilations must hold lists of positive numbers")


@frozen(kw_only=True)
class HifiganConfig(UpsamplingConfig):
    """The generator of HiFi-GAN, `type = "hifigan"` of `[vocoder]`, and of a model's `[model.decoder]`.

    The product of `upsample_rates` must be the hop length.
    """

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return math.prod(self.upsample_rates)

    def check_audio(self, audio: MelSpec) -> None:
        """Raise ConfigError unless the upsampling rates multiply to the hop length of `audio`."""
        audio.check_upsampling(self.upsample_rates, "upsample_rates")


@frozen(kw_only=True)
class IstftConfig(UpsamplingConfig):
    """The generator of iSTFTNet: few stages, then an inverse STFT (Kaneko et al. 2022).

    `type = "hifigan.istft"` of `[vocoder]`, and `type = "istft"` of a model's `[model.decoder]`. The defaults are
    the paper's C8C8I. The product of `upsample_rates`, `istft_hop_length` and `bands` must be the hop length.

    n_fft, istft_hop_length: of the inverse STFT, in samples of a band; n_fft is a multiple of twice the hop.
    bands: 1, or 4 for bands of a quarter of the sample rate, put together by a filter bank (Kawamura et al. 2023).
    filters: of more than one band. "pqmf" are those of a pseudo-QMF bank (section 3.2, multi-band); "learned" ones
        are weights of the model (section 3.3, multi-stream).
    largest_phase: in radians; phases are the sine of the network's output times this. It is pi in the
        implementation of Kawamura et al., 1 in others.
    """

    upsample_rates: tuple[int, ...] = field(default=(8, 8), validator=_positive_numbers)
    upsample_kernel_sizes: tuple[int, ...] = (16, 16)
    n_fft: int = field(default=16, validator=_positive)
    istft_hop_length: int = field(default=4, validator=_positive)
    bands: int = field(default=1, validator=validators.in_((1, 4)))
    filters: Literal["pqmf", "learned"] = "pqmf"
    largest_phase: float = field(default=math.pi, validator=_positive)

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if self.n_fft % (2 * self.istft_hop_length):
            raise ConfigError(
                f"n_fft ({self.n_fft}) must be a multiple of twice istft_hop_length "
                f"({self.istft_hop_length}), such as {4 * self.istft_hop_length}"
            )

    @property
    def sub_bands(self) -> bool:
        """Whether the bands are those of a pseudo-QMF bank, so that recordings have them too."""
        return self.bands > 1 and self.filters == "pqmf"

    @property
    def factors(self) -> tuple[int, ...]:
        """What a frame is multiplied by on its way to samples."""
        bands = (self.bands,) if self.bands > 1 else ()
        return (*self.upsample_rates, self.istft_hop_length, *bands)

    @property
    def hop_length(self) -> int:
        """Samples per frame."""
        return math.prod(self.factors)

    def check_audio(self, audio: MelSpec) -> None:
        """Raise ConfigError unless rates, hop of the inverse STFT and bands multiply to the hop length of `audio`."""
        bands = " and bands" if self.bands > 1 else ""
        audio.check_upsampling(self.factors, f"upsample_rates, istft_hop_length{bands}")


@frozen(kw_only=True)
class MultiBandIstftConfig(IstftConfig):
    """An `IstftConfig` whose defaults are those of MB-iSTFT-VITS, `type = "mb-istft"` of a model's `[model.decoder]`.

    Multi-stream models (MS-iSTFT-VITS) have `filters = "learned"`.
    """

    upsample_rates: tuple[int, ...] = field(default=(4, 4), validator=_positive_numbers)
    bands: int = field(default=4, validator=validators.in_((4,)))


SIZES: Mapping[str, HifiganConfig] = MappingProxyType(
    {
        "v1": HifiganConfig(),
        "v2": HifiganConfig(channels=128),
        "v3": HifiganConfig(
            channels=256,
            upsample_rates=(8, 8, 4),
            upsample_kernel_sizes=(16, 16, 8),
            residual_block="2",
            residual_kernel_sizes=(3, 5, 7),
            residual_dilations=((1, 2), (2, 6), (3, 12)),
        ),
    }
)
"""The three published sizes: V1 has the best quality, V2 is the smallest, V3 the fastest."""

SCALE_LAYERS = 7
_SCALE_GROUPS = 16


@frozen(kw_only=True)
class ConstantQConfig:
    """One resolution of the constant-Q transform discriminator (Gu et al. 2023).

    bins_per_octave: more bins give a higher resolution in frequency and a lower one in time.
    octaves: number of octaves below half the sample rate.
    hop_length: in samples, divisible by 2 ** (octaves - 1).
    """

    bins_per_octave: int = field(default=24, validator=_positive)
    octaves: int = field(default=9, validator=_positive)
    hop_length: int = field(default=256, validator=_positive)

    def __attrs_post_init__(self) -> None:
        if self.hop_length % 2 ** (self.octaves - 1):
            raise ConfigError(
                f"trainer.discriminators.constant_q: hop_length {self.hop_length} cannot be halved "
                f"{self.octaves - 1} times, once for each octave below the highest"
            )


@frozen(kw_only=True)
class DiscriminatorsConfig:
    """The discriminators; the defaults are those of the paper.

    periods, period_channels: one multi-period discriminator per period, and the channels of its layers.
    scales, scale_channels: number of multi-scale discriminators, of the waveform and of its averages over
        2, 4, ... samples, and the channels of their seven layers.
    stft_sizes: one discriminator of the complex spectrogram per FFT size, in samples
        (Defossez et al. 2022, section 3.4, use 2048, 1024, 512).
    constant_q: one discriminator per constant-Q transform (Gu et al. 2023 use 24, 36 and 48 bins per octave).
    spectral_channels: channels of the layers of the STFT and constant-Q discriminators.
    """

    periods: tuple[int, ...] = field(default=(2, 3, 5, 7, 11), validator=_positive_numbers)
    period_channels: tuple[int, ...] = field(
        default=(32, 128, 512, 1024, 1024), validator=_positive_numbers
    )
    scales: int = field(default=3, validator=_not_negative)
    scale_channels: tuple[int, ...] = field(
        default=(128, 128, 256, 512, 1024, 1024, 1024), validator=_positive_numbers
    )
    stft_sizes: tuple[int, ...] = field(default=(), validator=_positive_numbers)
    constant_q: tuple[ConstantQConfig, ...] = ()
    spectral_channels: int = field(default=32, validator=_positive)

    def __attrs_post_init__(self) -> None:
        if not (self.periods or self.scales or self.stft_sizes or self.constant_q):
            raise ConfigError(
                "trainer.discriminators is empty: set periods, scales, stft_sizes or constant_q"
            )
        if not self.period_channels:
            raise ConfigError("trainer.discriminators.period_channels is empty")
        if len(self.scale_channels) != SCALE_LAYERS or any(
            channels % _SCALE_GROUPS for channels in self.scale_channels
        ):
            raise ConfigError(
                f"trainer.discriminators.scale_channels must be {SCALE_LAYERS} multiples of "
                f"{_SCALE_GROUPS}, not {self.scale_channels}"
            )


@frozen(kw_only=True)
class HifiganTrainerConfig:
    """Training as published (sections 2.4 and 3), `type = "hifigan"`.

    decay: factor on the learning rate after each epoch.
    segment_size: samples of each utterance per step.
    input_mels: "recorded" mels are computed from the recordings. "predicted" mels are the feature "mel",
        predicted by an acoustic model with the durations of the recordings, to fine-tune a vocoder to it.
    normalize_peaks: whether to normalize recordings to a peak of .95, as published; not done for
        predicted mels.
    feature_weight, mel_weight: weights of the feature matching loss and the mel loss.
    """

    learning_rate: float = field(default=2e-4, validator=_positive)
    betas: tuple[float, float] = (0.8, 0.99)
    epsilon: float = field(default=1e-8, validator=_positive)
    weight_decay: float = field(default=0.01, validator=_not_negative)
    decay: float = field(default=0.999, validator=validators.and_(_positive, validators.le(1.0)))
    segment_size: int = field(default=8192, validator=_positive)
    input_mels: Literal["recorded", "predicted"] = "recorded"
    normalize_peaks: bool = True
    feature_weight: float = field(default=2.0, validator=_not_negative)
    mel_weight: float = field(default=45.0, validator=_not_negative)
    discriminators: DiscriminatorsConfig = Factory(DiscriminatorsConfig)

    def segment_frames(self, audio: MelSpec) -> int:
        """`segment_size` in frames; ConfigError if it is not a multiple of the hop length."""
        return audio.whole_frames(self.segment_size, "trainer.segment_size")


@frozen(kw_only=True)
class IstftTrainerConfig(HifiganTrainerConfig):
    """Training of iSTFTNet, which is that of HiFi-GAN, `type = "hifigan.istft"`.

    sub_band_weight: of the distance of spectra of bands, for generators with bands of a pseudo-QMF bank.
    """

    sub_band_weight: float = field(default=1.0, validator=_not_negative)


def loss_audio(audio: MelSpec) -> MelSpec:
    """The MelSpec of the mel loss: that of the input, but up to half the sample rate."""
    return evolve(audio, f_max=None)
