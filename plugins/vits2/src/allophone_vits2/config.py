"""The configuration of VITS2: the tables `[model]` and `[trainer]` of an experiment.

The defaults are those of the paper (Kong et al. 2023) as far as it tells them, and of the public
implementation p0p4k/vits2_pytorch where it does not. Light: attrs alone.
"""

from __future__ import annotations

from typing import Literal

from attrs import Factory, field, frozen, validators

from allophone.errors import ConfigError
from allophone_vits.config import (
    DecoderConfig,
    DurationConfig,
    FlowConfig,
    PosteriorEncoderConfig,
    TextEncoderConfig,
    VitsControls,
    VitsTrainerConfig,
    even_latents,
)

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
    """reads: mel spectrograms, as VITS2 does, or linear ones, as VITS."""

    reads: Literal["mel", "linear"] = "mel"


@frozen(kw_only=True)
class Vits2FlowConfig(FlowConfig):
    """Couplings that see the whole utterance (section 2.3), under the public implementation's names.

    kind: "pre_conv2" has a transformer block between the input and the WaveNet of each coupling: closest to
        figure 1b. "pre_conv" has a transformer before the input. "fft" has a causal transformer in place
        of the WaveNet. "mono_layer_inter_residual" and "mono_layer_post_residual" have a second coupling
        after each, of a transformer alone; the latter doubles what goes through. "wavenet" is VITS's flow.
    feed_forward_channels: of the kind "fft" alone.
    """

    kind: FlowKind = "pre_conv2"
    feed_forward_channels: int = field(default=768, validator=validators.gt(0))

    def __attrs_post_init__(self) -> None:
        heads = {"pre_conv2": FLOW_HEADS, "fft": CAUSAL_FLOW_HEADS}.get(self.kind, 1)
        if self.hidden_channels % heads:
            raise ConfigError(
                f"model.flow.hidden_channels ({self.hidden_channels}) cannot be divided among the "
                f"{heads} heads of a flow of the kind '{self.kind}'"
            )


@frozen(kw_only=True)
class Vits2DurationConfig:
    """How durations are predicted from text (section 2.1).

    kind: "convolutional" is the paper's: a regression that is given noise, for a discriminator to judge.
        "stochastic" is the flow of VITS. "mixed" has both, and says as much of each as the control
        `stochastic_share` asks for.
    channels: of the regression; stochastic_channels: of the flow.
    noise_channels: of the noise that the regression is given; 0 leaves it without, as the public
        implementation does.
    couplings: of the stochastic predictor's two flows.
    """

    kind: Literal["convolutional", "stochastic", "mixed"] = "convolutional"
    channels: int = field(default=256, validator=validators.gt(0))
    stochastic_channels: int = field(default=192, validator=validators.gt(0))
    noise_channels: int = field(default=16, validator=validators.ge(0))
    kernel_size: int = 3
    dropout: float = 0.5
    couplings: int = 4

    def regression(self) -> DurationConfig:
        """What VITS's deterministic predictor is built from."""
        return self._of("deterministic", self.channels)

    def stochastic(self) -> DurationConfig:
        """What VITS's stochastic predictor is built from."""
        return self._of("stochastic", self.stochastic_channels)

    def __attrs_post_init__(self) -> None:
        self.regression()

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

    latent_channels: of the posterior, the prior and the flow between them.
    speaker_channels: size of a speaker's embedding; used only where there are two speakers or more.
    text_speaker: whether the text encoder is told the speaker too, before its third block (section 2.4).
    """

    latent_channels: int = field(default=192, validator=even_latents)
    speaker_channels: int = field(default=256, validator=validators.gt(0))
    text_speaker: bool = True
    text_encoder: TextEncoderConfig = Factory(TextEncoderConfig)
    posterior_encoder: Vits2PosteriorEncoderConfig = Factory(Vits2PosteriorEncoderConfig)
    flow: Vits2FlowConfig = Factory(Vits2FlowConfig)
    duration: Vits2DurationConfig = Factory(Vits2DurationConfig)
    decoder: DecoderConfig = Factory(DecoderConfig)

    def __attrs_post_init__(self) -> None:
        if self.flow.kind not in (
            "pre_conv",
            "mono_layer_inter_residual",
            "mono_layer_post_residual",
        ):
            return
        if self.latent_channels % (2 * FLOW_HEADS):
            raise ConfigError(
                f"half of model.latent_channels ({self.latent_channels}) cannot be divided among the "
                f"{FLOW_HEADS} heads of a flow of the kind '{self.flow.kind}'"
            )


@frozen(kw_only=True)
class Vits2Controls(VitsControls):
    """What a speaker of text may set, sentence by sentence.

    stochastic_share: of the rhythm, how much the stochastic predictor says where there are both.
    """

    stochastic_share: float = field(
        default=0.5, validator=validators.and_(validators.ge(0), validators.le(1))
    )


@frozen(kw_only=True)
class DurationDiscriminatorConfig:
    """What tells predicted durations from those that the alignment found (section 2.1).

    kind: "normed" has rectifiers and norms between its convolutions (the public implementation's second,
        without the sigmoid); "linear" has neither, and a sigmoid at its end (the first, for its checkpoints);
        "none" leaves durations to the regression.
    start: the step from which it learns and judges; before, alignments are still on their way.
    weight: of its verdict in the generator's loss.
    speaker: whether it is told the speaker.
    """

    kind: Literal["normed", "linear", "none"] = "normed"
    channels: int = field(default=192, validator=validators.gt(0))
    kernel_size: int = field(default=3, validator=validators.in_((1, 3, 5, 7, 9, 11)))
    start: int = field(default=30_000, validator=validators.ge(0))
    weight: float = field(default=1.0, validator=validators.ge(0))
    speaker: bool = False


@frozen(kw_only=True)
class AlignmentNoiseConfig:
    """Noise on the scores of the alignment search, so that it tries other paths at first (section 2.2).

    initial: in standard deviations of an utterance's scores; 0 searches as VITS does.
    decrease: by how much less with each step.
    """

    initial: float = field(default=0.01, validator=validators.ge(0))
    decrease: float = field(default=2e-6, validator=validators.ge(0))

    def at(self, step: int) -> float:
        """How much noise there is at a step, in standard deviations."""
        return max(0.0, self.initial - self.decrease * step)


@frozen(kw_only=True)
class Vits2TrainerConfig(VitsTrainerConfig):
    """VITS's training and what VITS2 adds to it, `type = "vits2"`."""

    alignment_noise: AlignmentNoiseConfig = Factory(AlignmentNoiseConfig)
    duration_discriminator: DurationDiscriminatorConfig = Factory(DurationDiscriminatorConfig)
