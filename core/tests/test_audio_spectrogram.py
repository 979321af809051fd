"""Spectrograms against independent computations: NumPy's FFT, librosa's and torchaudio's filters.

B batch, N samples, F frames.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchaudio
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from allophone.audio.melspec import MelSpec
from allophone.audio.spectrogram import (
    frame_lengths,
    linear_spectrogram,
    mel_filters,
    mel_from_linear,
    mel_spectrogram,
)
from allophone.errors import UserError

librosa = pytest.importorskip("librosa")

VITS = MelSpec()
HIFIGAN = MelSpec(magnitude_epsilon=1e-9, f_max=8000.0)
TACOTRON = MelSpec(center=True, magnitude_epsilon=0.0, f_max=8000.0)
# lmnt's DiffWave: 20 log10(mel) - 20 decibels, moved by 100 and divided by 100, cut to [0, 1].
DIFFWAVE = MelSpec(
    center=True,
    normalize_window=True,
    magnitude_epsilon=0.0,
    f_min=20.0,
    mel_scale="htk",
    mel_norm="none",
    log_base="10",
    log_gain=0.2,
    log_offset=0.8,
    clip_low=0.0,
    clip_high=1.0,
)
WHISPER_LIKE = MelSpec(
    sample_rate=16000, n_fft=400, win_length=400, hop_length=160, power=2, log_base="10",
    center=True, magnitude_epsilon=0.0, log_floor=1e-10,
)  # fmt: skip
SMALL = MelSpec(n_fft=64, win_length=48, hop_length=16, n_mels=8)
ALL = {
    "vits": VITS, "hifigan": HIFIGAN, "tacotron": TACOTRON, "diffwave": DIFFWAVE,
    "whisper": WHISPER_LIKE, "small": SMALL,
}  # fmt: skip
each_spec = pytest.mark.parametrize("spec", ALL.values(), ids=ALL)


def speech_like(n: int, seed: int = 0) -> NDArray[np.float32]:
    """Noise and gliding harmonics with silence in the middle, [N]."""
    noise = np.random.default_rng(seed).standard_normal(n) * 0.01
    phase = 2 * np.pi * np.cumsum(100 + 100 * np.linspace(0, 1, n)) / 22050
    samples = noise + sum(np.sin(k * phase) / k for k in range(1, 6)) * 0.2
    samples[n // 3 : n // 2] = 0
    return samples.astype(np.float32)


def reference_linear(samples: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float64]:
    """The linear spectrogram by its definition, in float64, window by window: [K, F]."""
    mode = "reflect" if spec.padding == "reflect" else "constant"
    padded = np.pad(samples.astype(np.float64), spec.pad_length, mode=mode)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(spec.win_length) / spec.win_length)
    if spec.normalize_window:
        window /= np.sqrt(np.sum(window**2))
    before = (spec.n_fft - spec.win_length) // 2
    window = np.pad(window, (before, spec.n_fft - spec.win_length - before))
    starts = range(0, len(padded) - spec.n_fft + 1, spec.hop_length)
    frames = np.stack([padded[start : start + spec.n_fft] * window for start in starts])
    spectrum = np.fft.rfft(frames).T
    return np.sqrt(np.abs(spectrum) ** 2 + spec.magnitude_epsilon) ** spec.power


def reference_mel(samples: NDArray[np.float32], spec: MelSpec) -> NDArray[np.float64]:
    """The mel spectrogram with librosa's filter bank: [M, F]."""
    filters = librosa.filters.mel(
        sr=spec.sample_rate, n_fft=spec.n_fft, n_mels=spec.n_mels, fmin=spec.f_min,
        fmax=spec.f_max, htk=spec.mel_scale == "htk",
        norm="slaney" if spec.mel_norm == "slaney" else None, dtype=np.float64,
    )  # fmt: skip
    mel = filters @ reference_linear(samples, spec)
    logarithm = np.log if spec.log_base == "e" else np.log10
    mel = logarithm(np.maximum(mel, spec.log_floor)) * spec.log_gain + spec.log_offset
    return np.clip(mel, spec.clip_low, spec.clip_high) if spec.clip_low is not None else mel


@each_spec
def test_filters_equal_librosas(spec: MelSpec):
    expected = librosa.filters.mel(
        sr=spec.sample_rate, n_fft=spec.n_fft, n_mels=spec.n_mels, fmin=spec.f_min,
        fmax=spec.f_max, htk=spec.mel_scale == "htk",
        norm="slaney" if spec.mel_norm == "slaney" else None,
    )  # fmt: skip
    atol = 1e-5 * expected.max()
    np.testing.assert_allclose(mel_filters(spec).numpy(), expected, rtol=0, atol=atol)


@each_spec
def test_spectrograms_equal_their_definition(spec: MelSpec):
    samples = speech_like(6000)
    waveform = torch.from_numpy(samples)[None]
    linear = linear_spectrogram(waveform, spec)
    assert linear.shape == (1, spec.n_bins, spec.frames(6000))
    expected = reference_linear(samples, spec)
    scale = expected.max()
    np.testing.assert_allclose(linear[0].numpy() / scale, expected / scale, atol=2e-6)
    np.testing.assert_allclose(
        mel_spectrogram(waveform, spec)[0].numpy(), reference_mel(samples, spec), atol=1e-4
    )


def test_lmnts_diffwave_mel_is_a_spec():
    waveform = torch.from_numpy(speech_like(6000))[None]
    amplitude = torchaudio.transforms.MelSpectrogram(
        22050,
        1024,
        hop_length=256,
        f_min=20.0,
        f_max=11025.0,
        n_mels=80,
        power=1.0,
        normalized=True,
    )(waveform)
    decibels = 20 * amplitude.clamp(min=1e-5).log10() - 20
    expected = ((decibels + 100) / 100).clamp(0, 1)
    torch.testing.assert_close(mel_spectrogram(waveform, DIFFWAVE), expected, rtol=0, atol=1e-4)


def test_zeros_can_be_the_padding():
    spec = MelSpec(center=True, padding="zeros")
    samples = speech_like(3000)
    found = mel_spectrogram(torch.from_numpy(samples)[None], spec)[0].numpy()
    np.testing.assert_allclose(found, reference_mel(samples, spec), atol=1e-4)


def test_the_mel_of_a_linear_spectrogram_is_the_mel_of_its_waveform():
    waveform = torch.from_numpy(speech_like(4000))[None]
    two_steps = mel_from_linear(linear_spectrogram(waveform, VITS), VITS)
    torch.testing.assert_close(two_steps, mel_spectrogram(waveform, VITS), rtol=0, atol=0)


@pytest.mark.parametrize(
    "spec", [SMALL, evolve(SMALL, center=True), evolve(SMALL, padding="zeros")]
)
@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(40, 400), min_size=1, max_size=4), seed=st.integers(0, 9))
def test_frames_do_not_depend_on_the_neighbours(spec: MelSpec, lengths: list[int], seed: int):
    rows = [torch.from_numpy(speech_like(n, seed)) for n in lengths]
    # What lies past a row's end is garbage on purpose.
    batch = torch.full((len(rows), max(lengths)), 0.5)
    for row, samples in zip(batch, rows, strict=True):
        row[: len(samples)] = samples
    for transform in (linear_spectrogram, mel_spectrogram):
        together = transform(batch, spec, lengths=torch.tensor(lengths))
        assert together.shape[2] == spec.frames(max(lengths))
        for found, samples in zip(together, rows, strict=True):
            alone = transform(samples[None], spec)[0]
            frames = alone.shape[1]
            torch.testing.assert_close(found[:, :frames], alone, rtol=1e-5, atol=1e-5)
            assert not found[:, frames:].any()


def test_frame_lengths_are_the_frames_of_the_spec():
    samples = torch.arange(0, 2000, 7)
    expected = [SMALL.frames(n) for n in samples.tolist()]
    assert frame_lengths(samples, SMALL).tolist() == expected


@each_spec
def test_the_gradient_of_silence_is_finite(spec: MelSpec):
    waveform = torch.zeros(2, 4096, requires_grad=True)
    mel_spectrogram(waveform, spec, lengths=torch.tensor([4096, 3000])).sum().backward()
    assert waveform.grad is not None
    assert waveform.grad.isfinite().all()


def test_the_gradient_equals_finite_differences():
    # Without the logarithm, whose floor has a kink.
    spec = evolve(SMALL, log_base="none")
    generator = torch.Generator().manual_seed(0)
    waveform = torch.rand(1, 100, generator=generator, dtype=torch.float32)
    direction = torch.randn(1, 100, generator=generator)
    waveform.requires_grad_()
    mel_spectrogram(waveform, spec).square().sum().backward()
    assert waveform.grad is not None
    with torch.no_grad():
        step = 1e-2
        ahead = mel_spectrogram(waveform + step * direction, spec).square().sum()
        behind = mel_spectrogram(waveform - step * direction, spec).square().sum()
    slope = (ahead - behind).item() / (2 * step)
    assert (waveform.grad * direction).sum().item() == pytest.approx(slope, rel=1e-2)


def test_autocast_changes_nothing():
    waveform = torch.from_numpy(speech_like(3000))[None]
    expected = mel_spectrogram(waveform, VITS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = mel_spectrogram(waveform, VITS)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_half_precision_waveforms_are_computed_in_float32():
    waveform = torch.from_numpy(speech_like(3000))[None].half()
    assert mel_spectrogram(waveform, VITS).dtype == torch.float32


def test_filters_and_windows_are_made_once():
    assert mel_filters(HIFIGAN) is mel_filters(MelSpec(magnitude_epsilon=1e-9, f_max=8000.0))


def test_a_first_use_in_inference_mode_does_not_spoil_training():
    spec = MelSpec(n_mels=37)
    with torch.inference_mode():
        mel_spectrogram(torch.zeros(1, 2048), spec)
    waveform = torch.rand(1, 2048, requires_grad=True)
    mel_spectrogram(waveform, spec).sum().backward()
    assert waveform.grad is not None


def test_bad_waveforms_are_refused():
    with pytest.raises(UserError, match="384 samples is too short.*385"):
        linear_spectrogram(torch.zeros(1, VITS.min_samples - 1), VITS)
    with pytest.raises(UserError, match="100 samples is too short"):
        linear_spectrogram(torch.zeros(2, 4000), VITS, lengths=torch.tensor([4000, 100]))
    with pytest.raises(UserError, match=r"\[4000\]"):
        linear_spectrogram(torch.zeros(4000), VITS)
    with pytest.raises(UserError, match="int16"):
        linear_spectrogram(torch.zeros(1, 4000, dtype=torch.int16), VITS)
    with pytest.raises(UserError, match="513"):
        mel_from_linear(torch.zeros(1, 80, 10), VITS)


@each_spec
def test_the_shortest_waveform_has_a_frame(spec: MelSpec):
    assert linear_spectrogram(torch.zeros(1, spec.min_samples), spec).shape[2] >= 1
