"""A toy family that is learned in two runs and speaks in the voice of a recording.

N samples.
"""

from __future__ import annotations

import types

import torch
from attrs import frozen

from allophone.audio.melspec import MelSpec
from allophone.entries import ModelEntry, TrainerEntry
from allophone.errors import UserError
from allophone.hookspecs import hookimpl
from allophone.inference.folder import StoredVoice, write_voice
from allophone.inference.protocol import Speech
from allophone.registry import build_registry

AUDIO = MelSpec(sample_rate=8000, n_fft=64, hop_length=16, win_length=64, n_mels=8)
LONGEST = 20
"""Sentences of more ids are cut off."""


@frozen(kw_only=True)
class MimicConfig:
    """The model `mimic`."""

    needs: bool = True


@frozen(kw_only=True)
class TrainerConfig:
    """The trainer `mimic.coarse`."""


@frozen(kw_only=True)
class FineTrainerConfig:
    """The trainer `mimic.fine`."""


@frozen(kw_only=True)
class Controls:
    gain: float = 1.0


class Mimic:
    """Says each id as one sample: its number, in the voice (that is, the mean) of the prompt."""

    controls = Controls
    prompt_seconds = (0.5, 4.0)

    def __init__(self, spec, weights, device):
        del device
        if set(weights) != {"coarse.gain", "fine.gain"}:
            raise UserError(f"The weights do not fit: {sorted(weights)}")
        self.needs_prompt = spec.model.needs
        self.opening = spec.vocabulary.symbols.opening_length
        self.folder = spec.folder

    def synthesize(self, text, controls):
        prompts = text.prompts or (None,) * len(text.ids)
        said = [
            self._row(text.ids[row, : text.lengths[row]], prompt)
            for row, prompt in enumerate(prompts)
        ]
        lengths = torch.tensor([len(row) for row in said])
        waveform = torch.nn.utils.rnn.pad_sequence(said, batch_first=True)
        cut_off = tuple(
            "it is too long" if length > LONGEST else None for length in text.lengths.tolist()
        )
        return Speech(waveform=waveform * controls.gain, lengths=lengths, cut_off=cut_off)

    def _row(self, ids, prompt):
        if prompt is None:
            return ids / 1000
        whole = torch.cat([ids[: self.opening], ids.new_tensor(prompt.ids), ids[self.opening :]])
        samples = torch.from_numpy(prompt.samples)
        voice = torch.full((100,), float(samples.mean()))
        return torch.cat([samples if prompt.continued else voice, whole / 1000])


def assemble(stages, destination):
    missing = {"coarse", "fine"} - set(stages)
    if missing:
        raise UserError(f"A mimic also has the stage {missing.pop()}.")
    first = stages["coarse"]
    weights = {f"{stage}.gain": voice.weights["gain"] for stage, voice in stages.items()}
    write_voice(
        destination,
        StoredVoice(description=first.description, vocabulary=first.vocabulary, weights=weights),
        registry=registry(),
    )


def registry(beside=None):
    """Where mimics are known, and what a plugin module beside them offers."""
    module = types.ModuleType("mimics")
    module.CONTRACT = 1

    @hookimpl
    def allophone_models():
        yield ModelEntry(
            name="mimic",
            summary="Says ids in the voice of a recording.",
            config=f"{__name__}:MimicConfig",
            synthesizer=f"{__name__}:Mimic",
            assembler=f"{__name__}:assemble",
        )

    @hookimpl
    def allophone_trainers():
        for stage, config in (("coarse", "TrainerConfig"), ("fine", "FineTrainerConfig")):
            yield TrainerEntry(
                name=f"mimic.{stage}",
                summary="Trains nothing.",
                config=f"{__name__}:{config}",
                objective=f"{__name__}:Mimic",
                trains="mimic",
                inference_module=stage,
            )

    module.allophone_models = allophone_models
    module.allophone_trainers = allophone_trainers
    return build_registry({"mimics": module, **({"toys": beside} if beside else {})})
