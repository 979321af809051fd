"""Using a trained model: text to latents, latents to a waveform, one voice to another, and the times
of a text in a recording.

What is random in an utterance depends on its seed alone, and what is padded on nothing, so a batch says
what its utterances say one by one.

Legend: B batch, T text, F frames, N samples, C latent channels, K frequency bins, S speaker channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from attrs import evolve, frozen
from torch import Tensor

from allophone.synthesis.chunks import chunk_sizes
from allophone_vits.config import VitsControls
from allophone_vits.decoder import Decoder
from allophone_vits.flow import Flow
from allophone_vits.gaussian import Gaussian
from allophone_vits.layers import masked, sequence_mask
from allophone_vits.model import Generator, align
from allophone_vits.noise import Stream, normal_noise

CHUNK_FRAMES = 160
"""As many frames as keep the decoder's largest layers about within a processor core's cache."""


@frozen(kw_only=True)
class Latents:
    """What is to be decoded.

    values: [B, C, F], zero past lengths [B] (frames); speaker: [B, S, 1] or None.
    durations: [B, T], frames of each token; None where there was no text.
    """

    values: Tensor
    lengths: Tensor
    speaker: Tensor | None
    durations: Tensor | None = None

    def mask(self) -> Tensor | None:
        """Which frames are real, [B, 1, F]; None for one utterance, which has no padding."""
        if len(self.values) == 1:
            return None
        return sequence_mask(self.lengths, self.values.size(2))


@frozen(kw_only=True)
class Plan:
    """How a text is to be said.

    prior: [B, C, T] of each token; durations: [B, T], frames of each; speaker: [B, S, 1] or None.
    """

    prior: Gaussian
    durations: Tensor
    speaker: Tensor | None


def infer_latents(
    model: Generator,
    *,
    tokens: Tensor,
    token_lengths: Tensor,
    speakers: Tensor,
    seeds: Sequence[int],
    controls: VitsControls,
) -> Latents:
    """What to say: durations, the prior that they expand, and the flow's inverse (figure 1b).

    tokens [B, T] ids, token_lengths [B], speakers [B] ids, one seed a row. Durations are rounded up
    to whole frames, as published.
    """
    prior = infer_prior(
        model,
        tokens=tokens,
        token_lengths=token_lengths,
        speakers=speakers,
        seeds=seeds,
        controls=controls,
    )
    return through_flow(model.flow, prior)


def infer_prior(
    model: Generator,
    *,
    tokens: Tensor,
    token_lengths: Tensor,
    speakers: Tensor,
    seeds: Sequence[int],
    controls: VitsControls,
) -> Latents:
    """As `infer_latents`, but before the flow: what is drawn from the prior."""
    mask = None if len(tokens) == 1 else sequence_mask(token_lengths, tokens.size(1))
    noise = normal_noise(
        seeds,
        Stream.DURATION,
        channels=model.duration_predictor.noise_channels,
        lengths=token_lengths.tolist(),
    )
    plan = plan_speech(
        model,
        tokens=tokens,
        mask=mask,
        speakers=speakers,
        noise=noise.to(tokens.device),
        controls=controls,
    )
    lengths = plan.durations.sum(dim=1)

    prior = plan.prior.expand(tokens_of_frames(plan.durations))
    noise = normal_noise(
        seeds, Stream.LATENT, channels=prior.mean.size(1), lengths=lengths.tolist()
    )
    drawn = Latents(
        values=prior.sample(noise.to(tokens.device) * controls.noise_scale),
        lengths=lengths,
        speaker=plan.speaker,
        durations=plan.durations,
    )
    return evolve(drawn, values=masked(drawn.values, drawn.mask()))


def plan_speech(
    model: Generator,
    *,
    tokens: Tensor,
    mask: Tensor | None,
    speakers: Tensor,
    noise: Tensor,
    controls: VitsControls,
) -> Plan:
    """Read a text: tokens [B, T] ids, mask [B, 1, T], speakers [B] ids.

    noise: [B, channels, T], standard normal, as many channels as the duration predictor takes.
    """
    speaker = model.speaker(speakers)
    text = model.encode_text(tokens, mask, speaker)
    log_durations = model.predict_durations(text.hidden, noise, mask, speaker, controls)
    durations = torch.ceil(masked(log_durations.exp(), mask) * controls.length_scale)
    return Plan(prior=text.prior, durations=durations.squeeze(1).long(), speaker=speaker)


def through_flow(flow: Flow, prior: Latents) -> Latents:
    """From the prior's latents to those that are decoded."""
    return evolve(prior, values=flow.inverse(prior.values, prior.mask(), prior.speaker))


def tokens_of_frames(durations: Tensor) -> Tensor:
    """Which token each frame says: durations [B, T] -> [B, F], F the longest of their sums.

    Frames past the end of an utterance get its last position.
    """
    ends = durations.cumsum(dim=1)
    frames = torch.arange(int(ends[:, -1].max()), device=durations.device)
    index = torch.searchsorted(ends, frames.expand(len(ends), -1).contiguous(), right=True)
    return index.clamp_max(durations.size(1) - 1)


def convert_latents(
    model: Generator, spectrogram: Tensor, *, source: Tensor, target: Tensor, seed: int
) -> Latents:
    """Say a recording again in another voice: through the flow as one speaker, back as another.

    spectrogram [1, K, F]; source, target [1] speaker ids (section 4.4).
    """
    source_speaker, target_speaker = model.speaker(source), model.speaker(target)
    posterior = model.posterior_encoder(spectrogram, None, source_speaker)
    channels, frames = posterior.mean.shape[1:]
    noise = normal_noise([seed], Stream.LATENT, channels=channels, lengths=[frames])
    latent = posterior.sample(noise.to(spectrogram.device))
    prior_latent = model.flow(latent, None, source_speaker)
    return Latents(
        values=model.flow.inverse(prior_latent, None, target_speaker),
        lengths=torch.tensor([frames], device=spectrogram.device),
        speaker=target_speaker,
    )


def align_recordings(
    model: Generator,
    spectrogram: Tensor,
    *,
    tokens: Tensor,
    token_lengths: Tensor,
    frame_lengths: Tensor,
    speakers: Tensor,
) -> Tensor:
    """How many frames each token lasts in a recording of it: [B, T] int64, zero past the text.

    spectrogram [B, K, F], tokens [B, T] ids, lengths and speakers [B]. The search of training (section
    2.2.1), with the posterior's mean where training draws from it, so that it is repeatable.
    """
    text_mask = sequence_mask(token_lengths, tokens.size(1))
    frame_mask = sequence_mask(frame_lengths, spectrogram.size(2))
    speaker = model.speaker(speakers)
    posterior = model.posterior_encoder(spectrogram, frame_mask, speaker)
    prior_latent = model.flow(masked(posterior.mean, frame_mask), frame_mask, speaker)
    prior = model.encode_text(tokens, text_mask, speaker).prior
    return align(prior_latent, prior, frame_lengths, token_lengths).durations


def decode(decoder: Decoder, latents: Latents) -> Tensor:
    """The waveforms [B, N], zero past each utterance's frames."""
    waveform: Tensor = decoder(latents.values, latents.mask(), latents.speaker)
    return waveform


def speak_in_chunks(flow: Flow, decoder: Decoder, prior: Latents) -> Iterator[Tensor]:
    """Chunks [N] of one utterance (B = 1), which join to what flow and `decode` give up to rounding.

    The first is heard before the flow has gone through the whole utterance: it goes through so much
    of the beginning as that chunk depends on, and then through all.
    """
    frames = prior.values.size(2)
    stop, *rest = chunk_sizes(frames, usual=CHUNK_FRAMES)
    needed = stop + decoder.margin + flow.margin
    latents = through_flow(flow, evolve(prior, values=prior.values[:, :, :needed]))
    yield decode_chunk(decoder, latents, 0, stop)
    if needed < frames:
        latents = through_flow(flow, prior)
    for size in rest:
        start, stop = stop, stop + size
        yield decode_chunk(decoder, latents, start, stop)


def decode_chunk(decoder: Decoder, latents: Latents, start: int, stop: int) -> Tensor:
    """The samples [N] of frames `start` to `stop` of one utterance (B = 1).

    They are decoded with as many frames around them as they depend on.
    """
    first = max(0, start - decoder.margin)
    around = latents.values[:, :, first : stop + decoder.margin]
    waveform = decoder(around, None, latents.speaker)
    hop_length = decoder.hop_length
    return waveform[0, (start - first) * hop_length : (stop - first) * hop_length]


def rows(latents: Latents) -> Iterator[Latents]:
    """Each utterance alone, without padding."""
    for row, length in enumerate(latents.lengths.tolist()):
        one = slice(row, row + 1)
        yield Latents(
            values=latents.values[one, :, :length],
            lengths=latents.lengths[one],
            speaker=None if latents.speaker is None else latents.speaker[one],
        )
