"""Inference: text to latents, latents to a waveform, voice conversion and forced alignment.

An utterance's noise depends on its seed alone, and padding has no effect, so each row of a batch is
synthesized as if it were alone.

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
"""Chunk size at which the decoder's largest activations roughly fit into the cache of a CPU core."""


@frozen(kw_only=True)
class Latents:
    """Latents of a batch of utterances, before or after the flow.

    values: [B, C, F], zero past lengths [B] in frames; speaker: [B, S, 1] or None.
    durations: [B, T], frames of each token; None without text.
    """

    values: Tensor
    lengths: Tensor
    speaker: Tensor | None
    durations: Tensor | None = None

    def mask(self) -> Tensor | None:
        """Frame mask [B, 1, F]; None for a single utterance, which has no padding."""
        if len(self.values) == 1:
            return None
        return sequence_mask(self.lengths, self.values.size(2))


@frozen(kw_only=True)
class PredictedPrior:
    """Prior and duration of each token.

    prior: [B, C, T]; durations: [B, T], in frames; speaker: [B, S, 1] or None.
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
    """Sample the latents z of a text: durations, prior, inverse flow (figure 1b).

    tokens [B, T] ids, token_lengths [B], speakers [B] ids, one seed per row. Durations are rounded up
    to whole frames, as published.
    """
    prior = sample_prior(
        model,
        tokens=tokens,
        token_lengths=token_lengths,
        speakers=speakers,
        seeds=seeds,
        controls=controls,
    )
    return invert_flow(model.flow, prior)


def sample_prior(
    model: Generator,
    *,
    tokens: Tensor,
    token_lengths: Tensor,
    speakers: Tensor,
    seeds: Sequence[int],
    controls: VitsControls,
) -> Latents:
    """Sample z_p from the prior; as `infer_latents`, without the flow."""
    mask = None if len(tokens) == 1 else sequence_mask(token_lengths, tokens.size(1))
    noise = normal_noise(
        seeds,
        Stream.DURATION,
        channels=model.duration_predictor.noise_channels,
        lengths=token_lengths.tolist(),
    )
    predicted = predict_prior(
        model,
        tokens=tokens,
        mask=mask,
        speakers=speakers,
        noise=noise.to(tokens.device),
        controls=controls,
    )
    lengths = predicted.durations.sum(dim=1)

    prior = predicted.prior.expand(frame_to_token(predicted.durations))
    noise = normal_noise(
        seeds, Stream.LATENT, channels=prior.mean.size(1), lengths=lengths.tolist()
    )
    z_p = Latents(
        values=prior.sample(noise.to(tokens.device) * controls.noise_scale),
        lengths=lengths,
        speaker=predicted.speaker,
        durations=predicted.durations,
    )
    return evolve(z_p, values=masked(z_p.values, z_p.mask()))


def predict_prior(
    model: Generator,
    *,
    tokens: Tensor,
    mask: Tensor | None,
    speakers: Tensor,
    noise: Tensor,
    controls: VitsControls,
) -> PredictedPrior:
    """Encode a text and predict its durations: tokens [B, T] ids, mask [B, 1, T], speakers [B] ids.

    noise: [B, channels, T], standard normal, with the duration predictor's `noise_channels`.
    """
    speaker = model.speaker(speakers)
    text = model.encode_text(tokens, mask, speaker)
    log_durations = model.predict_durations(text.hidden, noise, mask, speaker, controls)
    durations = torch.ceil(masked(log_durations.exp(), mask) * controls.length_scale)
    return PredictedPrior(prior=text.prior, durations=durations.squeeze(1).long(), speaker=speaker)


def invert_flow(flow: Flow, prior: Latents) -> Latents:
    """Map z_p to z with the inverse flow."""
    return evolve(prior, values=flow.inverse(prior.values, prior.mask(), prior.speaker))


def frame_to_token(durations: Tensor) -> Tensor:
    """Return the token index of each frame: durations [B, T] -> [B, F], F their largest sum.

    Frames past the end of an utterance get the last index.
    """
    ends = durations.cumsum(dim=1)
    frames = torch.arange(int(ends[:, -1].max()), device=durations.device)
    index = torch.searchsorted(ends, frames.expand(len(ends), -1).contiguous(), right=True)
    return index.clamp_max(durations.size(1) - 1)


def convert_latents(
    model: Generator, spectrogram: Tensor, *, source: Tensor, target: Tensor, seed: int
) -> Latents:
    """Convert a recording to another speaker: flow with the source speaker, inverse flow with the target.

    spectrogram [1, K, F]; source, target [1] speaker ids.
    """
    source_speaker, target_speaker = model.speaker(source), model.speaker(target)
    posterior = model.posterior_encoder(spectrogram, None, source_speaker)
    channels, frames = posterior.mean.shape[1:]
    noise = normal_noise([seed], Stream.LATENT, channels=channels, lengths=[frames])
    z = posterior.sample(noise.to(spectrogram.device))
    z_p = model.flow(z, None, source_speaker)
    return Latents(
        values=model.flow.inverse(z_p, None, target_speaker),
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
    """Align recordings with their texts: durations [B, T] int64 in frames, zero past the text.

    spectrogram [B, K, F], tokens [B, T] ids, lengths and speakers [B]. Runs the alignment search of
    training (section 2.2.1) on the posterior's mean instead of a sample, so it is deterministic.
    """
    text_mask = sequence_mask(token_lengths, tokens.size(1))
    frame_mask = sequence_mask(frame_lengths, spectrogram.size(2))
    speaker = model.speaker(speakers)
    posterior = model.posterior_encoder(spectrogram, frame_mask, speaker)
    z_p = model.flow(masked(posterior.mean, frame_mask), frame_mask, speaker)
    prior = model.encode_text(tokens, text_mask, speaker).prior
    return align(z_p, prior, frame_lengths, token_lengths).durations


def decode(decoder: Decoder, latents: Latents) -> Tensor:
    """Decode latents to waveforms [B, N], zero past each utterance's frames."""
    waveform: Tensor = decoder(latents.values, latents.mask(), latents.speaker)
    return waveform


def decode_in_chunks(flow: Flow, decoder: Decoder, prior: Latents) -> Iterator[Tensor]:
    """Decode one utterance (B = 1) in chunks [N].

    The chunks concatenate to the output of `invert_flow` and `decode`, up to rounding. For low latency
    the flow first runs only on the frames that the first chunk depends on, then on all of them.
    """
    frames = prior.values.size(2)
    stop, *rest = chunk_sizes(frames, usual=CHUNK_FRAMES)
    needed = stop + decoder.margin + flow.margin
    latents = invert_flow(flow, evolve(prior, values=prior.values[:, :, :needed]))
    yield decode_chunk(decoder, latents, 0, stop)
    if needed < frames:
        latents = invert_flow(flow, prior)
    for size in rest:
        start, stop = stop, stop + size
        yield decode_chunk(decoder, latents, start, stop)


def decode_chunk(decoder: Decoder, latents: Latents, start: int, stop: int) -> Tensor:
    """Decode frames `start` to `stop` of one utterance (B = 1) with the context they need -> [N]."""
    first = max(0, start - decoder.margin)
    context = latents.values[:, :, first : stop + decoder.margin]
    waveform = decoder(context, None, latents.speaker)
    hop_length = decoder.hop_length
    return waveform[0, (start - first) * hop_length : (stop - first) * hop_length]


def unbatch(latents: Latents) -> Iterator[Latents]:
    """Yield each utterance as a batch of one, without padding."""
    for row, length in enumerate(latents.lengths.tolist()):
        one = slice(row, row + 1)
        yield Latents(
            values=latents.values[one, :, :length],
            lengths=latents.lengths[one],
            speaker=None if latents.speaker is None else latents.speaker[one],
        )
