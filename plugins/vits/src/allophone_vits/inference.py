"""Speaking with a trained model: text to latents, latents to a waveform, one voice to another.

What is random in an utterance depends on its seed alone, and what is padded on nothing, so a batch says
what its utterances say one by one.

Legend: B batch, T text, F frames, N samples, C latent channels, K frequency bins, S speaker channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from attrs import frozen
from torch import Tensor

from allophone_vits.config import VitsControls
from allophone_vits.decoder import receptive_margin
from allophone_vits.layers import masked, sequence_mask
from allophone_vits.model import Vits
from allophone_vits.noise import Stream, normal_noise


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


def infer_latents(
    model: Vits,
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
    alone = len(tokens) == 1
    mask = None if alone else sequence_mask(token_lengths, tokens.size(1))
    speaker = model.speaker(speakers)
    text = model.text_encoder(tokens, mask)

    noise = normal_noise(
        seeds,
        Stream.DURATION,
        channels=model.duration_predictor.noise_channels,
        lengths=token_lengths.tolist(),
    )
    log_durations = model.duration_predictor.log_durations(
        text.hidden, noise.to(tokens.device) * controls.noise_scale_duration, mask, speaker
    )
    durations = torch.ceil(masked(log_durations.exp(), mask) * controls.length_scale)
    durations = durations.squeeze(1).long()
    lengths = durations.sum(dim=1)

    prior = text.prior.expand(tokens_of_frames(durations))
    mask = None if alone else sequence_mask(lengths, prior.mean.size(2))
    noise = normal_noise(
        seeds, Stream.LATENT, channels=prior.mean.size(1), lengths=lengths.tolist()
    )
    prior_latent = masked(prior.sample(noise.to(tokens.device) * controls.noise_scale), mask)
    return Latents(
        values=model.flow.inverse(prior_latent, mask, speaker),
        lengths=lengths,
        speaker=speaker,
        durations=durations,
    )


def tokens_of_frames(durations: Tensor) -> Tensor:
    """Which token each frame says: durations [B, T] -> [B, F], F the longest of their sums.

    Frames past the end of an utterance get its last position.
    """
    ends = durations.cumsum(dim=1)
    frames = torch.arange(int(ends[:, -1].max()), device=durations.device)
    index = torch.searchsorted(ends, frames.expand(len(ends), -1).contiguous(), right=True)
    return index.clamp_max(durations.size(1) - 1)


def convert_latents(
    model: Vits, spectrogram: Tensor, *, source: Tensor, target: Tensor, seed: int
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


def decode(model: Vits, latents: Latents) -> Tensor:
    """The waveforms [B, N], zero past each utterance's frames."""
    mask = None
    if len(latents.values) > 1:
        mask = sequence_mask(latents.lengths, latents.values.size(2))
    waveform: Tensor = model.decoder(latents.values, mask, latents.speaker)
    return waveform


def decode_in_chunks(model: Vits, latents: Latents, chunk_frames: int) -> Iterator[Tensor]:
    """Chunks [N] of one utterance (B = 1), which join to what `decode` gives up to rounding.

    Each is decoded with as many frames around it as its samples depend on.
    """
    margin = receptive_margin(model.config.decoder)
    hop_length = model.config.decoder.hop_length
    frames = latents.values.size(2)
    for start in range(0, frames, chunk_frames):
        stop = min(start + chunk_frames, frames)
        first = max(0, start - margin)
        around = latents.values[:, :, first : stop + margin]
        waveform: Tensor = model.decoder(around, None, latents.speaker)
        yield waveform[0, (start - first) * hop_length : (stop - first) * hop_length]
