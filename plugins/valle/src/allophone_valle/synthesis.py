"""Zero-shot synthesis: text and prompt to codes, codes to a waveform.

Legend: B batch, T text, P frames of a prompt, F frames, Q codebooks, N samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from attrs import frozen
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from allophone.errors import UserError
from allophone.inference.protocol import Speech, TextBatch, VoiceSpec
from allophone.synthesis.engine import Prompt
from allophone.weights.files import strip_prefix
from allophone.weights.loading import load_weights, skip_init
from allophone_valle.ar import ArModel
from allophone_valle.codecs.protocol import Codec
from allophone_valle.config import ValleConfig, ValleControls
from allophone_valle.decoding import ArPrefix, Continuation, continue_codes
from allophone_valle.nar import NarModel
from allophone_valle.nar_decoding import NarInput, predict_codebooks
from allophone_valle.sample_decoding import open_model_codec


@frozen(kw_only=True, eq=False)
class PromptedSentence:
    """A sentence to synthesize.

    ids: [T], ids of the sentence. prompted_ids: [T'], with the ids of the prompt inserted. prompt: [P, Q],
    codes of the prompt, P = 0 without one. continued: whether the output starts with the prompt.
    """

    ids: Tensor
    prompted_ids: Tensor
    prompt: Tensor
    continued: bool
    seed: int


class ValleSynthesizer:
    """Synthesizer of the AR and NAR models and the codec."""

    controls = ValleControls

    def __init__(self, spec: VoiceSpec, ar: ArModel, nar: NarModel) -> None:
        assert isinstance(spec.model, ValleConfig)
        self.spec = spec
        self.config = spec.model
        self.ar = ar
        self.nar = nar

    @cached_property
    def codec(self) -> Codec:
        """The codec, opened on first use."""
        return open_model_codec(
            self.config, self.spec.audio, device=self.nar.tables.device, folder=self.spec.folder
        )

    @property
    def prompt_seconds(self) -> tuple[float, float]:
        """Minimum and maximum duration of a prompt."""
        return self.config.prompt_seconds

    @property
    def needs_prompt(self) -> bool:
        """Whether the AR or the NAR model cannot synthesize without a prompt."""
        return not self.config.ar.begin_symbol or self.config.nar.prompt != "none"

    @torch.inference_mode()
    def synthesize(self, text: TextBatch, controls: ValleControls) -> Speech:
        """Synthesize a batch, each sentence in the voice of its prompt."""
        sentences = self._sentences(text)
        prefixes = [self._ar_prefix(sentence, controls) for sentence in sentences]
        continuations = continue_codes(self.ar, prefixes, controls)
        inputs = [
            self._nar_input(sentence, continuation)
            for sentence, continuation in zip(sentences, continuations, strict=True)
        ]
        codes = predict_codebooks(self.nar, inputs)
        cut_off = tuple(
            None if continuation.ended else _cut_off_reason(prefix, sentence, controls)
            for prefix, sentence, continuation in zip(
                prefixes, sentences, continuations, strict=True
            )
        )
        return self._decode_waveforms(sentences, codes, cut_off=cut_off)

    def _sentences(self, text: TextBatch) -> list[PromptedSentence]:
        sentence_ids = [
            row[:length] for row, length in zip(text.ids, text.lengths.tolist(), strict=True)
        ]
        if text.prompts is None:
            empty = text.ids.new_zeros(0, self.config.codebooks)
            return [
                PromptedSentence(
                    ids=ids, prompted_ids=ids, prompt=empty, continued=False, seed=seed
                )
                for ids, seed in zip(sentence_ids, text.seeds, strict=True)
            ]
        codes = self._encode(text.prompts)
        start = self.spec.vocabulary.symbols.opening_length
        return [
            PromptedSentence(
                ids=ids,
                prompted_ids=torch.cat([ids[:start], ids.new_tensor(prompt.ids), ids[start:]]),
                prompt=codes[id(prompt.samples)],
                continued=prompt.continued,
                seed=seed,
            )
            for ids, prompt, seed in zip(sentence_ids, text.prompts, text.seeds, strict=True)
        ]

    def _encode(self, prompts: Sequence[Prompt]) -> dict[int, Tensor]:
        """Encode each distinct recording once: codes [P, Q] by the id() of its samples."""
        device = self.nar.tables.device
        waveforms = {
            id(prompt.samples): torch.from_numpy(prompt.samples).to(device) for prompt in prompts
        }
        hop = self.codec.hop_length
        # Drop an incomplete last frame: the codec would pad it with silence in front of the continuation.
        trimmed = [wave[: max(hop, len(wave) // hop * hop)] for wave in waveforms.values()]
        lengths = torch.tensor([len(wave) for wave in trimmed], device=trimmed[0].device)
        coded = self.codec.encode(pad_sequence(trimmed, batch_first=True), lengths)
        rows = zip(waveforms, coded.codes, coded.lengths.tolist(), strict=True)
        return {key: codes[: self.config.codebooks, :length].T for key, codes, length in rows}

    def _ar_prefix(self, sentence: PromptedSentence, controls: ValleControls) -> ArPrefix:
        # If the output continues the prompt, the sentence's ids include the prompt's.
        prompt_frames = len(sentence.prompt) if sentence.continued else 0
        min_length = math.ceil(controls.min_ratio * len(sentence.ids)) - prompt_frames
        max_length = int(controls.max_ratio * len(sentence.ids)) - prompt_frames
        max_length = max(1, min(max_length, self._frames(controls.max_seconds)))
        return ArPrefix(
            text=sentence.prompted_ids,
            codes=sentence.prompt[:, 0],
            min_length=min(max_length, max(1, min_length)),
            max_length=max_length,
            seed=sentence.seed,
        )

    def _nar_input(self, sentence: PromptedSentence, continuation: Continuation) -> NarInput:
        mode, frames = self.config.nar.prompt, len(sentence.prompt)
        if mode in ("none", "prefix"):
            prompt_length = 0 if mode == "none" else frames
            text, known = sentence.prompted_ids, sentence.prompt
        else:
            # In training these prompts come from elsewhere, and the text does not include theirs.
            prompt_length, text = frames, sentence.ids
            known = sentence.prompt.repeat(2, 1) if sentence.continued else sentence.prompt
        return NarInput(
            text=text,
            known=known,
            prompt_length=prompt_length,
            first_codebook=continuation.codes,
        )

    def _decode_waveforms(
        self,
        sentences: Sequence[PromptedSentence],
        generated: Sequence[Tensor],
        *,
        cut_off: tuple[str | None, ...],
    ) -> Speech:
        """Decode the generated codes with the prompt as context, then cut the prompt off."""
        rows = [
            torch.cat([sentence.prompt, codes])
            for sentence, codes in zip(sentences, generated, strict=True)
        ]
        lengths = torch.tensor([len(row) for row in rows], device=rows[0].device)
        codes = pad_sequence(rows, batch_first=True).transpose(1, 2)
        decoded = self.codec.decode(codes, lengths)
        hop = self.codec.hop_length
        waveforms = [
            waveform[0 if sentence.continued else len(sentence.prompt) * hop : length * hop]
            for sentence, waveform, length in zip(sentences, decoded, lengths.tolist(), strict=True)
        ]
        return Speech(
            waveform=pad_sequence(waveforms, batch_first=True),
            lengths=torch.tensor([len(waveform) for waveform in waveforms], device=lengths.device),
            cut_off=cut_off,
        )

    def _frames(self, seconds: float) -> int:
        return max(1, int(seconds * self.codec.sample_rate / self.codec.hop_length))


def build_synthesizer(
    spec: VoiceSpec, weights: Mapping[str, Tensor], device: torch.device
) -> ValleSynthesizer:
    """Build a synthesizer from the weights of both models.

    Raises UserError if a stage is missing or the weights do not fit the vocabulary or the model.
    """
    config = spec.model
    assert isinstance(config, ValleConfig)
    _require_stages(weights)
    symbols = spec.vocabulary.symbols
    with skip_init():
        ar = ArModel(config.ar, vocabulary_size=symbols.size, bins=config.bins)
        nar = NarModel(
            config.nar,
            vocabulary_size=symbols.size,
            codebooks=config.codebooks,
            bins=config.bins,
        )
    # Decoding on a GPU is limited by memory bandwidth, so smaller weights are faster.
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    for name, model in (("ar", ar), ("nar", nar)):
        own = strip_prefix(weights, name)
        _check_vocabulary(name, own["text_embedding.weight"], symbols.size)
        load_weights(model, own, where=f"the voice, in its part '{name}'")
        model.to(device, dtype).eval()
    return ValleSynthesizer(spec, ar, nar)


def _require_stages(weights: Mapping[str, Tensor]) -> None:
    missing = [name for name in ("ar", "nar") if f"{name}.text_embedding.weight" not in weights]
    if missing:
        raise UserError(
            "A run of one stage is not a voice: VALL-E needs both stages, 'ar' and 'nar'."
            if len(missing) == 2
            else f"The weights of the stage '{missing[0]}' are missing.",
            hint="Assemble a voice from both runs: allophone import runs/ar runs/nar voices/mine",
        )


def _check_vocabulary(name: str, embedding: Tensor, symbols: int) -> None:
    if len(embedding) != symbols:
        raise UserError(
            f"The vocabulary has {symbols} symbols, but the weights of '{name}' have "
            f"{len(embedding)}.",
            hint="Use the vocabulary.json that belongs to these weights.",
        )


def _cut_off_reason(prefix: ArPrefix, sentence: PromptedSentence, controls: ValleControls) -> str:
    """Say which limit stopped a sentence before its end."""
    text_limit = int(controls.max_ratio * len(sentence.ids))
    if prefix.max_length < text_limit - len(sentence.prompt) * sentence.continued:
        return f"it was stopped after {controls.max_seconds:g} s (max_seconds)"
    return (
        f"it was stopped after {controls.max_ratio:g} frames for each of its {len(sentence.ids)} ids "
        "(max_ratio)"
    )
