"""The synthesizer of VITS: speech synthesis, forced alignment and voice conversion.

Legend: B batch, T text, C latent channels, F frames, N samples, K frequency bins.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping

import torch
from attrs import frozen
from torch import Tensor, nn

from allophone.inference.protocol import Speech, TextBatch, VoiceSpec
from allophone.weights.files import strip_prefix
from allophone.weights.loading import load_weights
from allophone.weights.norm import fold_weight_norm, for_inference
from allophone_vits.channels_last import use_channels_last
from allophone_vits.config import VitsControls
from allophone_vits.decoder import Decoder
from allophone_vits.inference import (
    CHUNK_FRAMES,
    Latents,
    align_recordings,
    convert_latents,
    decode,
    decode_chunk,
    decode_in_chunks,
    invert_flow,
    sample_prior,
    unbatch,
)
from allophone_vits.model import Generator, Vits
from allophone_vits.packed import pack_convolutions
from allophone_vits.posterior_encoder import PosteriorEncoder
from allophone_vits.text_encoder import EncodedText


def build_synthesizer(
    spec: VoiceSpec, weights: Mapping[str, Tensor], device: torch.device
) -> VitsSynthesizer:
    """Build a synthesizer from a voice's weights.

    weights: the state of `Vits`; weights that only training uses may be missing. With those of the
        posterior encoder the voice can align recordings and, with several speakers, convert them.
    Raises UserError if the weights do not fit the voice's description.
    """
    return build_synthesizer_for(Vits, spec, weights, device)


def build_synthesizer_for(
    build: Callable[..., Generator],
    spec: VoiceSpec,
    weights: Mapping[str, Tensor],
    device: torch.device,
) -> VitsSynthesizer:
    """As `build_synthesizer`, for any `Generator`; `build` takes the arguments of `Vits`."""
    model = _unloaded(build, spec)
    posterior_encoder = model.posterior_encoder
    _load_for_inference(model, weights)
    model.to(device)
    if device.type == "cpu":
        for part in (model.text_encoder, model.duration_predictor, model.flow):
            pack_convolutions(part)
        use_channels_last(model)
    posterior = strip_prefix(weights, "posterior_encoder")
    if not posterior:
        return VitsSynthesizer(model, spec)
    kind = VitsConverter if len(spec.vocabulary.speakers) > 1 else VitsAligner
    return kind(model, spec, posterior_encoder, posterior)


def inference_model(
    build: Callable[..., Generator], spec: VoiceSpec, weights: Mapping[str, Tensor]
) -> Generator:
    """Build a voice's model for export: on the CPU, without training modules, with standard convolutions.

    Arguments and errors as in `build_synthesizer_for`.
    """
    model = _unloaded(build, spec)
    _load_for_inference(model, weights)
    return model


def _unloaded(build: Callable[..., Generator], spec: VoiceSpec) -> Generator:
    with for_inference():
        return build(
            spec.model,
            vocabulary_size=spec.vocabulary.symbols.size,
            speakers=len(spec.vocabulary.speakers),
            audio=spec.audio,
        )


def _load_for_inference(model: Generator, weights: Mapping[str, Tensor]) -> None:
    """Delete the modules that only training uses and load the weights of the rest."""
    model.discard_training_parts()
    model.eval().requires_grad_(False)
    training_only = model.training_only
    used = {name: tensor for name, tensor in weights.items() if not training_only.match(name)}
    load_weights(model, fold_weight_norm(used), where="this voice")


@frozen(kw_only=True)
class SpokenInParts:
    """A sentence with what it was made of: waveform [N], latents and samples of the prior [C, F]."""

    waveform: Tensor
    latents: Tensor
    prior_samples: Tensor


class VitsSynthesizer:
    """Synthesizes speech from text, whole or in chunks.

    On a CPU, utterances are decoded one at a time in chunks that fit its caches; streaming yields the
    same chunks. A GPU decodes the whole batch at once.
    """

    def __init__(self, model: Generator, spec: VoiceSpec) -> None:
        self.controls = model.controls
        self._model = model
        self._audio = spec.audio
        self._half_decoder: Decoder | None = None

    def synthesize(self, text: TextBatch, controls: VitsControls) -> Speech:
        """Synthesize a batch: waveform [B, N], and the duration of each id in frames."""
        prior = self._prior(text, controls)
        if prior.values.device.type == "cpu":
            waveforms = [torch.cat(list(self._chunks(row, controls))) for row in unbatch(prior)]
            waveform = nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
        else:
            waveform = decode(self._decoder(controls), invert_flow(self._model.flow, prior))
        return Speech(
            waveform=waveform,
            lengths=prior.lengths * self._audio.hop_length,
            durations=prior.durations,
        )

    def stream(self, text: TextBatch, controls: VitsControls) -> Iterator[Tensor]:
        """Synthesize one sentence (B = 1) in chunks [N]."""
        prior = self._prior(text, controls)
        if prior.values.device.type == "cpu":
            yield from self._chunks(prior, controls)
        else:
            yield decode(self._decoder(controls), invert_flow(self._model.flow, prior))[0]

    def synthesize_in_parts(self, text: TextBatch, controls: VitsControls) -> SpokenInParts:
        """Synthesize one sentence (B = 1), and return what its flow and its decoder were given too."""
        prior = self._prior(text, controls)
        latents = invert_flow(self._model.flow, prior)
        decoder = self._decoder(controls)
        frames = latents.values.size(2)
        chunks = [
            decode_chunk(decoder, latents, start, min(start + CHUNK_FRAMES, frames))
            for start in range(0, frames, CHUNK_FRAMES)
        ]
        return SpokenInParts(
            waveform=torch.cat(chunks),
            latents=latents.values[0],
            prior_samples=prior.values[0],
        )

    def encode(self, text: TextBatch) -> EncodedText:
        """What the text encoder makes of one sentence (B = 1)."""
        return self._model.encode_text(text.ids, None, self._model.speaker(text.speakers))

    def _prior(self, text: TextBatch, controls: VitsControls) -> Latents:
        return sample_prior(
            self._model,
            tokens=text.ids,
            token_lengths=text.lengths,
            speakers=text.speakers,
            seeds=text.seeds,
            controls=controls,
        )

    def _chunks(self, prior: Latents, controls: VitsControls) -> Iterator[Tensor]:
        return decode_in_chunks(self._model.flow, self._decoder(controls), prior)

    def _decoder(self, controls: VitsControls) -> Decoder:
        if controls.precision == "fp32":
            return self._model.decoder
        if self._half_decoder is None:
            self._half_decoder = copy.deepcopy(self._model.decoder).bfloat16()
        return self._half_decoder


class VitsAligner(VitsSynthesizer):
    """A synthesizer with a posterior encoder, which can align recordings with their texts.

    The posterior encoder is loaded on first use; synthesis does not need it.
    """

    def __init__(
        self,
        model: Generator,
        spec: VoiceSpec,
        posterior_encoder: PosteriorEncoder,
        weights: Mapping[str, Tensor],
    ) -> None:
        super().__init__(model, spec)
        self._posterior_encoder = posterior_encoder
        self._posterior_weights = weights

    def align(self, text: TextBatch, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Durations [B, T] of each id in frames; waveform [B, N], lengths [B] in samples."""
        device = text.ids.device
        frames = [self._audio.frames(length) for length in lengths.tolist()]
        return align_recordings(
            self._full_model(),
            self._model.spectrogram.from_waveform(waveform, self._audio, lengths=lengths),
            tokens=text.ids,
            token_lengths=text.lengths,
            frame_lengths=torch.tensor(frames, device=device),
            speakers=text.speakers,
        )

    def _full_model(self) -> Generator:
        model = self._model
        if not hasattr(model, "posterior_encoder"):
            encoder, weights = self._posterior_encoder, fold_weight_norm(self._posterior_weights)
            load_weights(encoder, weights, where="this voice's posterior encoder")
            device = next(model.text_encoder.parameters()).device
            model.posterior_encoder = encoder.to(device).eval().requires_grad_(False)
        return model


class VitsConverter(VitsAligner):
    """A multi-speaker synthesizer with a posterior encoder, which can also convert recordings."""

    def convert(self, waveform: Tensor, source: int, target: int, *, seed: int) -> Tensor:
        """Convert a recording [N] from one speaker id to another -> [N]."""
        spectrogram = self._model.spectrogram.from_waveform(waveform.unsqueeze(0), self._audio)
        latents = convert_latents(
            self._full_model(),
            spectrogram,
            source=torch.tensor([source], device=waveform.device),
            target=torch.tensor([target], device=waveform.device),
            seed=seed,
        )
        return decode(self._model.decoder, latents)[0]
