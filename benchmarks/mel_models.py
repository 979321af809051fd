"""FastSpeech 2 with HiFi-GAN V1 or Vocos on the CPU, compared with peers: synthesis and training steps.

The peers are of the same sizes, FastSpeech 2 and HiFi-GAN V1; Vocos, of the published size and of half its width, speaks
beside their HiFi-GAN.
Run `python benchmarks/mel_models.py [--json]`. Everything is float32 with random weights: 100 phonemes of 7 frames
each make 700 frames, 8.1 seconds at 22.05 kHz. A training step of the acoustic model takes 8 such utterances with
their durations, one of the vocoder 2 segments of 8192 samples. The contenders (`benchmarks/mel_model_peers.py`)
take turns, in another order each round; the tables show medians, and the speed relative to the best peer.
Our steps include the runtime's checks and the computation of mels; the peers get precomputed mels.

B batch, T text, F frames, M mel bands, N samples.
"""

from __future__ import annotations

import json
import math
import time
from functools import partial

import click
import mel_model_peers as peers
import torch
from attrs import asdict, evolve
from rich.console import Console
from side_by_side import (
    OURS,
    SYMBOLS,
    Step,
    Timing,
    Trained,
    batch_of,
    experiment_of,
    measure,
    show,
    speech_like,
)
from torch import Tensor

from allophone.audio.spectrogram import mel_spectrogram
from allophone.inference.protocol import (
    Mels,
    Synthesizer,
    TextBatch,
    Vocoder,
    VocoderSpec,
    VoiceSpec,
)
from allophone.registry import default_registry

PHONEMES, FRAMES_EACH = 100, 7
FRAMES = PHONEMES * FRAMES_EACH
LOG_DURATION = math.log1p(FRAMES_EACH + 0.2)
"""The output of the duration predictors for every phoneme; ours rounds, the peer truncates."""
UTTERANCES, SEGMENTS, SEGMENT = 8, 2, 8192

CPU = torch.device("cpu")
VOCOSES: dict[str, tuple[str, ...]] = {
    f"{OURS}, Vocos": (),
    f"{OURS}, Vocos 256": ("vocoder.channels=256", "vocoder.feed_forward_channels=768"),
}
"""Changes of the recipe by contender."""


def acoustic_steps(acoustic: Trained) -> dict[str, Step]:
    audio = acoustic.experiment.audio
    waveform = speech_like(UTTERANCES, FRAMES * audio.hop_length)
    tokens = torch.randint(1, len(SYMBOLS), (UTTERANCES, PHONEMES))
    durations = torch.full((UTTERANCES, PHONEMES), FRAMES_EACH)
    f0 = 100 + 100 * torch.rand(UTTERANCES, FRAMES)
    energy = 10 * torch.rand(UTTERANCES, FRAMES)
    features = {
        "waveform": waveform,
        "phonemes": tokens,
        "durations": durations,
        "f0": f0,
        "energy": energy,
    }
    batch = batch_of(features)
    acoustic.objective.calibrate([batch])
    mel = mel_spectrogram(waveform, audio).transpose(1, 2)
    text = peers.Text(tokens=tokens, durations=durations, mel=mel, f0=f0 / 100, energy=energy)
    return {
        OURS: lambda: acoustic.runtime.take_step([batch]),
        peers.SPEECHBRAIN: peers.acoustic_step(len(SYMBOLS), text),
    }


def vocoder_steps(vocoder: Trained) -> dict[str, Step]:
    audio = vocoder.experiment.audio
    loss_audio = evolve(audio, f_max=None)
    batch = batch_of({"waveform": speech_like(SEGMENTS, 2 * SEGMENT)})
    waveform = speech_like(SEGMENTS, SEGMENT)
    mel = mel_spectrogram(waveform, audio)
    steps: dict[str, Step] = {OURS: lambda: vocoder.runtime.take_step([batch])}
    for peer in peers.GENERATORS:
        steps[peer] = peers.vocoder_step(
            peer, mel, waveform[:, None], lambda wave: mel_spectrogram(wave, loss_audio)
        )
    return steps


def speakers(acoustic: Trained, hifigan: Trained) -> dict[str, dict[str, Step]]:
    """Text to mel, mel to waveform, and both."""
    registry = default_registry()
    weights = acoustic.weights("model")
    output = "variance_adaptor.duration_predictor.output"
    weights[f"{output}.weight"].zero_()
    weights[f"{output}.bias"].fill_(LOG_DURATION)
    audio = acoustic.experiment.audio
    spec = VoiceSpec(model=acoustic.experiment.model, audio=audio, vocabulary=acoustic.vocabulary)
    synthesizer: Synthesizer = registry.load("models", "fastspeech2", "synthesizer")(
        spec, weights, CPU
    )
    vocoders = {OURS: _vocoder("hifigan", hifigan)}
    for ours, changes in VOCOSES.items():
        vocoders[ours] = _vocoder("vocos", experiment_of("vocos/ljspeech", *changes))
    tokens = torch.randint(1, len(SYMBOLS), (1, PHONEMES))
    one = torch.zeros(1, dtype=torch.long)
    text = TextBatch(ids=tokens, lengths=one + PHONEMES, speakers=one, languages=one, seeds=(0,))
    controls = synthesizer.controls()
    mel = torch.randn(1, audio.n_mels, FRAMES)

    @torch.inference_mode()
    def our_mel() -> Tensor:
        said = synthesizer.synthesize(text, controls)
        assert isinstance(said, Mels)
        return said.mel

    @torch.inference_mode()
    def our_waveform(ours: str, mel: Tensor) -> Tensor:
        return vocoders[ours].vocode(mel, one + mel.size(2))

    def said(ours: str) -> Tensor:
        return our_waveform(ours, our_mel())

    their_mel = peers.acoustic_model(len(SYMBOLS), LOG_DURATION)
    their_waveforms = {peer: peers.vocoder(peer) for peer in peers.GENERATORS}
    for made in (our_mel(), their_mel(tokens)):
        assert made.shape == mel.shape, made.shape

    def theirs(peer: str) -> Tensor:
        return their_waveforms[peer](their_mel(tokens))

    return {
        "text to mel": {OURS: our_mel, peers.SPEECHBRAIN: partial(their_mel, tokens)},
        "mel to wave": {
            **{ours: partial(our_waveform, ours, mel) for ours in vocoders},
            **{peer: partial(vocode, mel) for peer, vocode in their_waveforms.items()},
        },
        "text to wave": {
            **{ours: partial(said, ours) for ours in vocoders},
            **{f"{peers.SPEECHBRAIN} + {peer}": partial(theirs, peer) for peer in their_waveforms},
        },
    }


def _vocoder(name: str, trained: Trained) -> Vocoder:
    spec = VocoderSpec(vocoder=trained.experiment.vocoder, audio=trained.experiment.audio)
    built: Vocoder = default_registry().load("vocoders", name, "vocoder")(
        spec, trained.weights("generator"), CPU
    )
    return built


@click.command()
@click.option("--rounds", default=9, show_default=True, help="Rounds of synthesis.")
@click.option("--steps", default=5, show_default=True, help="Rounds of training steps.")
@click.option("--threads", "counts", multiple=True, default=(1, 2), show_default=True)
@click.option(
    "--cpu-time",
    is_flag=True,
    help="Measure CPU time of all threads instead of wall time, for busy machines.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def main(rounds: int, steps: int, counts: tuple[int, ...], cpu_time: bool, as_json: bool) -> None:
    clock = time.process_time if cpu_time else time.perf_counter
    torch.manual_seed(0)
    acoustic = experiment_of("fastspeech2/ljspeech", "model.durations='stored'")
    vocoder = experiment_of("hifigan/ljspeech")
    speaking, training = (
        speakers(acoustic, vocoder),
        {
            "FastSpeech 2, 8 utterances": acoustic_steps(acoustic),
            "HiFi-GAN V1, 2 segments": vocoder_steps(vocoder),
        },
    )
    spoken: list[Timing] = []
    learned: list[Timing] = []
    for threads in counts:
        torch.set_num_threads(threads)
        for what, contenders in speaking.items():
            spoken += measure(what, contenders, threads, rounds, clock)
        for what, contenders in training.items():
            learned += measure(what, contenders, threads, steps, clock)
    if as_json:
        tables = {"speaking": spoken, "training": learned}
        plain = {name: [asdict(row) for row in rows] for name, rows in tables.items()}
        click.echo(json.dumps(plain, indent=1))
        return
    console = Console(width=100)
    show(console, "Speaking", spoken, acoustic.experiment.audio.seconds(FRAMES))
    show(console, "Training steps", learned)


if __name__ == "__main__":
    main()
