"""Configuration of VITS2: the tables `[model]` and `[trainer]` of an experiment.

The defaults are those of the paper (Kong et al. 2023) and, for values it does not state, those of the public
implementation p0p4k/vits2_pytorch. Imports no torch.
"""

from __future__ import annotations

from typing import Any, Literal

from attrs import Factory, field, frozen, validators

from allophone.errors import ConfigError
from allophone.fields import choice
from allophone_vits.config import (
    DECODERS,
    DurationConfig,
    FlowConfig,
    PosteriorEncoderConfig,
    TextEncoderConfig,
    VitsControls,
    VitsTrainerConfig,
    even_latents,
)
from allophone_vits.distillation.config import DistillTrainerConfig

FLOW_HEADS = 2
CAUSAL_FLOW_HEADS = 4

FlowKind = Literal[
    "pre_conv2",
    "pre_conv",
    "fft",
    "mono_layer_inter_residual",
    "mono_layer_post_residual",
    "wavenet",
]


@frozen(kw_only=True)
class Vits2PosteriorEncoderConfig(PosteriorEncoderConfig):
    """reads: input of the encoder, a mel spectrogram as in VITS2 or a linear one as in VITS."""

    reads: Literal["mel", "linear"] = "mel"


@frozen(kw_only=True)
class Vits2FlowConfig(FlowConfig):
    """Normalizing flow with transformer blocks (section 2.3).

    kind: variant of the coupling layers, named as in the public implementation.
        "pre_conv2": a transformer block between the input convolution and the WaveNet; closest to figure 1b.
        "pre_conv": a transformer before the input convolution.
        "fft": a causal transformer block instead of the WaveNet.
        "mono_layer_inter_residual", "mono_layer_post_residual": a second, transformer-only coupling after
        each coupling; the latter doubles the latents.
        "wavenet": the flow of VITS.
    feed_forward_channels: used by "fft" only.
    """

    kind: FlowKind = "pre_conv2"
    feed_forward_channels: int = field(default=768, validator=validators.gt(0))

    def __attrs_post_init__(self) -> None:
        heads = {"pre_conv2": FLOW_HEADS, "fft": CAUSAL_FLOW_HEADS}.get(self.kind, 1)
        if self.hidden_channels % heads:
            raise ConfigError(
                f"model.flow.hidden_channels ({self.hidden_channels}) must be divisible by the "
                f"{heads} heads of the flow '{self.kind}'"
            )


@frozen(kw_only=True)
class Vits2DurationConfig:
    """Duration predictor (section 2.1).

    kind: "convolutional" is the paper's regression with a noise input, trained adversarially;
        "stochastic" is the flow of VITS; "mixed" averages both, weighted by the control
        `stochastic_share`.
    channels: channels of the regression; stochastic_channels: of the stochastic predictor.
    noise_channels: channels of the regression's noise; 0 for none, as in the public implementation.
    couplings: coupling layers in each of the two flows of the stochastic predictor.
    """

    kind: Literal["convolutional", "stochastic", "mixed"] = "convolutional"
    channels: int = field(default=256, validator=validators.gt(0))
    stochastic_channels: int = field(default=192, validator=validators.gt(0))
    noise_channels: int = field(default=16, validator=validators.ge(0))
    kernel_size: int = 3
    dropout: float = 0.5
    couplings: int = 4

    def regression(self) -> DurationConfig:
        """Config of the regression, which is the deterministic predictor of VITS."""
        return self._of("deterministic", self.channels)

    def stochastic(self) -> DurationConfig:
        """Config of the stochastic predictor of VITS."""
        return self._of("stochastic", self.stochastic_channels)

    def __attrs_post_init__(self) -> None:
        self.regression()  # Validates the shared fields.

    def _of(self, kind: Literal["stochastic", "deterministic"], channels: int) -> DurationConfig:
        return DurationConfig(
            kind=kind,
            channels=channels,
            kernel_size=self.kernel_size,
            dropout=self.dropout,
            couplings=self.couplings,
        )


@frozen(kw_only=True)
class Vits2Config:
    """The model of Kong et al. 2023, `type = "vits2"`.

    latent_channels: channels of the latent z, shared by the posterior, the prior and the flow.
    speaker_channels: size of the speaker embedding; unused with fewer than two speakers.
    text_speaker: whether to condition the text encoder on the speaker, at its third block (section 2.4).
    """

    latent_channels: int = field(default=192, validator=even_latents)
    speaker_channels: int = field(default=256, validator=validators.gt(0))
    text_speaker: bool = True
    text_encoder: TextEncoderConfig = Factory(TextEncoderConfig)
    posterior_encoder: Vits2PosteriorEncoderConfig = Factory(Vits2PosteriorEncoderConfig)
    flow: Vits2FlowConfig = Factory(Vits2FlowConfig)
    duration: Vits2DurationConfig = Factory(Vits2DurationConfig)
    decoder: Any = choice(DECODERS, default="hifigan")

    def __attrs_post_init__(self) -> None:
        if self.flow.kind not in (
            "pre_conv",
            "mono_layer_inter_residual",
            "mono_layer_post_residual",
        ):
            return
        if self.latent_channels % (2 * FLOW_HEADS):
            raise ConfigError(
                f"half of model.latent_channels ({self.latent_channels}) must be divisible by the "
                f"{FLOW_HEADS} heads of the flow '{self.flow.kind}'"
            )


@frozen(kw_only=True)
class Vits2Controls(VitsControls):
    """Synthesis controls, set per sentence.

    stochastic_share: weight of the stochastic predictor, in [0, 1]; "mixed" durations only.
    """

    stochastic_share: float = field(
        default=0.5, validator=validators.and_(validators.ge(0), validators.le(1))
    )


@frozen(kw_only=True)
class DurationDiscriminatorConfig:
    """Discriminator of predicted durations against those of the alignment search (section 2.1).

    kind: "normed" has ReLU and layer norm after each convolution (version 2 of the public implementation,
        without its sigmoid); "linear" has neither and ends with a sigmoid (version 1, to load its
        checkpoints); "none" disables the discriminator.
    start: first step of adversarial duration training; before it, alignments are not yet reliable.
    weight: weight of the adversarial duration loss.
    speaker: whether to condition the discriminator on the speaker.
    """

    kind: Literal["normed", "linear", "none"] = "normed"
    channels: int = field(default=192, validator=validators.gt(0))
    kernel_size: int = field(default=3, validator=validators.in_((1, 3, 5, 7, 9, 11)))
    start: int = field(default=30_000, validator=validators.ge(0))
    weight: float = field(default=1.0, validator=validators.ge(0))
    speaker: bool = False


@frozen(kw_only=True)
class AlignmentNoiseConfig:
    """Noise on the scores of the alignment search, for exploration early in training (section 2.2).

    initial: scale at step 0, relative to the standard deviation of the scores; 0 disables the noise.
    decrease: decrease of the scale per step.
    """

    initial: float = field(default=0.01, validator=validators.ge(0))
    decrease: float = field(default=2e-6, validator=validators.ge(0))

    def at(self, step: int) -> float:
        """Scale of the noise at a step, relative to the standard deviation of the scores."""
        return max(0.0, self.initial - self.decrease * step)


@frozen(kw_only=True)
class Vits2TrainerConfig(VitsTrainerConfig):
    """VITS training with the additions of VITS2, `type = "vits2"`."""

    alignment_noise: AlignmentNoiseConfig = Factory(AlignmentNoiseConfig)
    duration_discriminator: DurationDiscriminatorConfig = Factory(DurationDiscriminatorConfig)


@frozen(kw_only=True)
class Vits2DistillTrainerConfig(DistillTrainerConfig):
    """Training of a decoder to speak as its teacher's does, `type = "vits2.distill"`."""
