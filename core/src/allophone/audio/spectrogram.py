"""Linear and mel spectrograms as defined by a `MelSpec`, on any device.

B batch, N samples, F frames, K frequency bins, M mel bands.

Everything is computed in float32, even under autocast, because squares and logarithms overflow float16.
Windows and filter banks are cached per spec and device. Gradients are finite everywhere.

Without `lengths`, every row is taken to be N samples long. With `lengths`, each row is padded at its own
end, so that its frames do not depend on the batch; frames past its end are zero.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from allophone.audio.melspec import MelSpec
from allophone.errors import UserError


def linear_spectrogram(waveform: Tensor, spec: MelSpec, *, lengths: Tensor | None = None) -> Tensor:
    """Compute the magnitude spectrogram, raised to `spec.power`.

    Args:
        waveform: [B, N] in [-1, 1], at `spec.sample_rate`.
        lengths: samples of each row [B]; None if all rows are N long.

    Returns:
        [B, K, F] float32, with F = `spec.frames(N)`.

    Raises:
        UserError: a waveform is shorter than `spec.min_samples`, or `waveform` is not a float tensor
            [B, N]. `lengths` are checked only on the CPU, to avoid a device synchronization.
    """
    _check(waveform, spec, lengths)
    with torch.autocast(device_type=waveform.device.type, enabled=False):
        padded = _padded(waveform.float(), spec, lengths)
        spectrum = torch.stft(
            padded,
            spec.n_fft,
            spec.hop_length,
            spec.win_length,
            window=_window(spec, waveform.device),
            center=False,
            return_complex=True,
        )
        if spec.magnitude_epsilon > 0:
            power = spectrum.real.square() + spectrum.imag.square()
            magnitude = (power + spec.magnitude_epsilon).sqrt()
        else:
            # The gradient of `abs` is finite at zero; that of the square root is not.
            magnitude = spectrum.abs()
        linear = magnitude if spec.power == 1 else magnitude.square()
        return linear if lengths is None else _zero_past(linear, frame_lengths(lengths, spec))


def mel_from_linear(linear: Tensor, spec: MelSpec, *, lengths: Tensor | None = None) -> Tensor:
    """Convert the output of `linear_spectrogram` for the same spec to a mel spectrogram.

    Args:
        linear: [B, K, F].
        lengths: frames of each row [B]; None if all rows are F long.

    Returns:
        [B, M, F] float32.
    """
    if linear.dim() != 3 or linear.shape[1] != spec.n_bins:
        raise UserError(
            f"Expected a linear spectrogram of shape [B, {spec.n_bins}, F], got {list(linear.shape)}"
        )
    with torch.autocast(device_type=linear.device.type, enabled=False):
        mel = torch.matmul(mel_filters(spec, linear.device), linear.float())
        if spec.log_base != "none":
            mel = mel.clamp(min=spec.log_floor)
            mel = mel.log() if spec.log_base == "e" else mel.log10()
        mel = mel * spec.log_gain + spec.log_offset
        if spec.clip_low is not None or spec.clip_high is not None:
            mel = mel.clamp(min=spec.clip_low, max=spec.clip_high)
        return mel if lengths is None else _zero_past(mel, lengths)


def mel_spectrogram(waveform: Tensor, spec: MelSpec, *, lengths: Tensor | None = None) -> Tensor:
    """Compute the mel spectrogram [B, M, F] float32 of waveforms [B, N]; see `linear_spectrogram`."""
    linear = linear_spectrogram(waveform, spec, lengths=lengths)
    frames = None if lengths is None else frame_lengths(lengths, spec)
    return mel_from_linear(linear, spec, lengths=frames)


def frame_lengths(lengths: Tensor, spec: MelSpec) -> Tensor:
    """Apply `spec.frames` to a tensor: samples [B] -> frames [B], int64."""
    samples = lengths.long() + 2 * spec.pad_length - spec.n_fft
    return (torch.div(samples, spec.hop_length, rounding_mode="floor") + 1).clamp(min=0)


def mel_filters(spec: MelSpec, device: torch.device | str = "cpu") -> Tensor:
    """Return triangular filters [M, K] float32, evenly spaced on the mel scale (Slaney 1998, or HTK)."""
    return _filter_bank(spec, torch.device(device))


# A tensor made in inference mode could not be used in training afterwards.
@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _filter_bank(spec: MelSpec, device: torch.device) -> Tensor:
    # Imported here because importing torchaudio is slow.
    from torchaudio.functional import melscale_fbanks

    filters = melscale_fbanks(
        spec.n_bins,
        f_min=spec.f_min,
        f_max=spec.highest_frequency,
        n_mels=spec.n_mels,
        sample_rate=spec.sample_rate,
        norm=None if spec.mel_norm == "none" else spec.mel_norm,
        mel_scale=spec.mel_scale,
    )
    return filters.T.contiguous().to(device)


# A tensor made in inference mode could not be used in training afterwards.
@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _window(spec: MelSpec, device: torch.device) -> Tensor:
    window = torch.hann_window(spec.win_length, dtype=torch.float64)
    if spec.normalize_window:
        window = window / window.norm()
    return window.to(device, torch.float32)


def _check(waveform: Tensor, spec: MelSpec, lengths: Tensor | None) -> None:
    if waveform.dim() != 2 or not waveform.is_floating_point():
        raise UserError(
            f"Expected float waveforms [B, N], got {waveform.dtype} {list(waveform.shape)}"
        )
    shortest = waveform.shape[1]
    if lengths is not None and lengths.device.type == "cpu" and len(lengths):
        shortest = min(shortest, int(lengths.min()))
    if shortest < spec.min_samples:
        raise UserError(
            f"A waveform of {shortest} samples is too short for a spectrogram: at least "
            f"{spec.min_samples} are needed",
            hint="Leave out shorter utterances, or pad them with silence.",
        )


def _padded(waveform: Tensor, spec: MelSpec, lengths: Tensor | None) -> Tensor:
    """Pad each row of waveform [B, N] by `spec.pad_length` on both sides of its own content."""
    pad = spec.pad_length
    if lengths is None:
        mode = "reflect" if spec.padding == "reflect" else "constant"
        return F.pad(waveform, (pad, pad), mode=mode) if pad else waveform
    n = waveform.shape[1]
    ends = lengths.to(waveform.device)[:, None]
    position = torch.arange(-pad, n + pad, device=waveform.device)
    if spec.padding == "zeros":
        source, real = position, (position >= 0) & (position < ends)
    else:
        # Reflect at the first sample and at the last sample of the row.
        source = position.abs()
        source = torch.where(source < ends, source, 2 * (ends - 1) - source)
        real = position < ends + pad
    gathered = waveform.gather(1, source.clamp(0, n - 1).expand(len(waveform), -1))
    return torch.where(real, gathered, 0.0)


def _zero_past(values: Tensor, lengths: Tensor) -> Tensor:
    """Set the frames of values [B, C, F] past lengths [B] to zero."""
    frame = torch.arange(values.shape[2], device=values.device)
    return torch.where(frame < lengths.to(values.device)[:, None, None], values, 0.0)
