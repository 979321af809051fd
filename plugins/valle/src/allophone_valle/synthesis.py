"""Speaking in the voice of a recording: text and prompt to codes, and codes to a waveform.

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
from allophone.weights import load_weights, skip_init, strip_prefix
from allophone_valle.ar import ArModel
from allophone_valle.codecs.protocol import Codec
from allophone_valle.config import ValleConfig, ValleControls
from allophone_valle.decoding import ArPrefix, Continuation, continue_codes
from allophone_valle.nar import NarModel
from allophone_valle.nar_decoding import NarInput, predict_codebooks
from allophone_valle.sample_decoding import open_fitting_codec


@frozen(kw_only=True, eq=False)
class Row:
    """One sentence that is to be said.

    own: [T], its own ids. text: [T'], what is said with the prompt before it. prompt: [P, Q], without
    frames where there is none. continued: whether the speech begins with the prompt.
    """

    own: Tensor
    text: Tensor
    prompt: Tensor
    continued: bool
    seed: int


class ValleSynthesizer:
    """The two models and the codec that they speak through."""

    controls = ValleControls

    def __init__(self, spec: VoiceSpec, ar: ArModel, nar: NarModel) -> None:
        assert isinstance(spec.model, ValleConfig)
        self.spec = spec
        self.config = spec.model
        self.ar = ar
        self.nar = nar

    @cached_property
    def codec(self) -> Codec:
        """What it speaks through, opened when it first speaks: until then it need not be there."""
        return open_fitting_codec(
            self.config, self.spec.audio, device=self.nar.tables.device, folder=self.spec.folder
        )

    @property
    def prompt_seconds(self) -> tuple[float, float]:
        """How short and how long a prompt may be."""
        return self.config.prompt_seconds

    @property
    def needs_prompt(self) -> bool:
        """Whether a model was trained to be told of the speaker by a prompt alone."""
        return not self.config.ar.begin_symbol or self.config.nar.prompt != "none"

    @torch.inference_mode()
    def synthesize(self, text: TextBatch, controls: ValleControls) -> Speech:
        """Say some sentences, each in the voice of its prompt."""
        rows = self._rows(text)
        prefixes = [self._ar_prefix(row, controls) for row in rows]
        continuations = continue_codes(self.ar, prefixes, controls)
        inputs = [
            self._nar_input(row, continuation)
            for row, continuation in zip(rows, continuations, strict=True)
        ]
        said = predict_codebooks(self.nar, inputs)
        return self._decode_codec(
            rows,
            said,
            cut_off=tuple(
                None if continuation.ended else _limit(prefix, row, controls)
                for prefix, row, continuation in zip(prefixes, rows, continuations, strict=True)
            ),
        )

    def _rows(self, text: TextBatch) -> list[Row]:
        own = [row[:length] for row, length in zip(text.ids, text.lengths.tolist(), strict=True)]
        if text.prompts is None:
            nothing = text.ids.new_zeros(0, self.config.codebooks)
            return [
                Row(own=ids, text=ids, prompt=nothing, continued=False, seed=seed)
                for ids, seed in zip(own, text.seeds, strict=True)
            ]
        codes = self._encode(text.prompts)
        before = self.spec.vocabulary.symbols.opening_length
        return [
            Row(
                own=ids,
                text=torch.cat([ids[:before], ids.new_tensor(prompt.ids), ids[before:]]),
                prompt=codes[id(prompt.samples)],
                continued=prompt.continued,
                seed=seed,
            )
            for ids, prompt, seed in zip(own, text.prompts, text.seeds, strict=True)
        ]

    def _encode(self, prompts: Sequence[Prompt]) -> dict[int, Tensor]:
        """The codes [P, Q] of each distinct recording, by the identity of its samples."""
        device = self.nar.tables.device
        waveforms = {
            id(prompt.samples): torch.from_numpy(prompt.samples).to(device) for prompt in prompts
        }
        hop = self.codec.hop_length
        # What fills no frame would be followed by silence before the speech goes on.
        whole = [wave[: max(hop, len(wave) // hop * hop)] for wave in waveforms.values()]
        lengths = torch.tensor([len(wave) for wave in whole], device=whole[0].device)
        coded = self.codec.encode(pad_sequence(whole, batch_first=True), lengths)
        rows = zip(waveforms, coded.codes, coded.lengths.tolist(), strict=True)
        return {key: codes[: self.config.codebooks, :length].T for key, codes, length in rows}

    def _ar_prefix(self, row: Row, controls: ValleControls) -> ArPrefix:
        # What is continued has the ids of its prompt among its own.
        said = len(row.prompt) if row.continued else 0
        least = math.ceil(controls.min_ratio * len(row.own)) - said
        most = int(controls.max_ratio * len(row.own)) - said
        most = max(1, min(most, self._frames(controls.max_seconds)))
        return ArPrefix(
            text=row.text,
            codes=row.prompt[:, 0],
            least=min(most, max(1, least)),
            most=most,
            seed=row.seed,
        )

    def _nar_input(self, row: Row, continuation: Continuation) -> NarInput:
        mode, frames = self.config.nar.prompt, len(row.prompt)
        if mode in ("none", "prefix"):
            prompt_length = 0 if mode == "none" else frames
            text, known = row.text, row.prompt
        else:
            # Its prompts come from elsewhere, so what is said in them is no part of its text.
            prompt_length, text = frames, row.own
            known = row.prompt.repeat(2, 1) if row.continued else row.prompt
        return NarInput(
            text=text, known=known, prompt_length=prompt_length, first=continuation.codes
        )

    def _decode_codec(
        self, rows: Sequence[Row], said: Sequence[Tensor], *, cut_off: tuple[str | None, ...]
    ) -> Speech:
        """Decode what was said behind its prompt, so that it begins as something that goes on."""
        whole = [torch.cat([row.prompt, codes]) for row, codes in zip(rows, said, strict=True)]
        lengths = torch.tensor([len(codes) for codes in whole], device=whole[0].device)
        codes = pad_sequence(whole, batch_first=True).transpose(1, 2)
        waveforms = self.codec.decode(codes, lengths)
        hop = self.codec.hop_length
        heard = [
            waveform[0 if row.continued else len(row.prompt) * hop : length * hop]
            for row, waveform, length in zip(rows, waveforms, lengths.tolist(), strict=True)
        ]
        return Speech(
            waveform=pad_sequence(heard, batch_first=True),
            lengths=torch.tensor([len(waveform) for waveform in heard], device=lengths.device),
            cut_off=cut_off,
        )

    def _frames(self, seconds: float) -> int:
        return max(1, int(seconds * self.codec.sample_rate / self.codec.hop_length))


def build_synthesizer(
    spec: VoiceSpec, weights: Mapping[str, Tensor], device: torch.device
) -> ValleSynthesizer:
    """Put the weights of both models in place.

    Raises UserError for a run of one stage alone, and for weights of another vocabulary or model.
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
    # A step reads all weights once for a few codes, so on a GPU it is as quick as they are small.
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
            "VALL-E speaks with two stages, 'ar' and 'nar', and this is a run of one of them."
            if len(missing) == 2
            else f"This voice has no weights of the stage '{missing[0]}'.",
            hint="Make a voice of a run of each: allophone import runs/ar runs/nar voices/mine",
        )


def _check_vocabulary(name: str, embedding: Tensor, symbols: int) -> None:
    if len(embedding) != symbols:
        raise UserError(
            f"The vocabulary has ids for {symbols} symbols, and the weights of '{name}' are of a model "
            f"that knows {len(embedding)}.",
            hint="They belong to another vocabulary: take the vocabulary.json that lay beside them.",
        )


def _limit(prefix: ArPrefix, row: Row, controls: ValleControls) -> str:
    """Why a row had to stop."""
    by_text = int(controls.max_ratio * len(row.own)) - len(row.prompt) * row.continued
    if prefix.most < by_text:
        return f"it was stopped after {controls.max_seconds:g} s (max_seconds)"
    return (
        f"it was stopped after {controls.max_ratio:g} frames for each of its {len(row.own)} ids "
        "(max_ratio)"
    )
