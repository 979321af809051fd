"""The parts of a student: what they are given, how far they are from the teacher's, and which of its layers they begin with."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from attrs import evolve
from letters_voice import CONFIG, LINES, voice

from allophone.audio.files import read_audio
from allophone.audio.melspec import MelSpec
from allophone.config.experiment import DataConfig, Experiment
from allophone.data.batch import Batch, Padded
from allophone.inference.folder import StoredVoice
from allophone.registry import default_registry
from allophone.synthesis.requests import Request
from allophone_vits.distillation.config import (
    ENCODED_TEXT,
    LATENTS,
    PARTS,
    PRIOR_SAMPLES,
    DistillTrainerConfig,
    features_of,
)
from allophone_vits.distillation.objective import DistillObjective
from allophone_vits.distillation.teacher import say_texts
from allophone_vits.distillation.thinning import spread, thinned


class TestParts:
    """What a student's parts learn from, and how far they are from the teacher's."""

    def objective(self, parts: tuple[str, ...], teacher: StoredVoice) -> DistillObjective:
        """A student with all weights of its teacher."""
        experiment = Experiment(
            data=DataConfig(directory="data"),
            text=teacher.description.text,
            audio=MelSpec(),
            model=CONFIG,
            trainer=DistillTrainerConfig(parts=parts, segment_size=4096),
        )
        found = DistillObjective(experiment, teacher.vocabulary)
        generator = found.modules["generator"]
        generator.load_state_dict(teacher.weights, strict=False)
        generator.eval()
        return found

    def batch(self, folder: Path, teacher: StoredVoice) -> Batch:
        """What the teacher said of two texts, as a batch."""
        requests = [Request(id=str(number), text=text) for number, text in enumerate(LINES[:2])]
        names = (LATENTS, PRIOR_SAMPLES, ENCODED_TEXT)
        spoken = say_texts(teacher, requests, folder, registry=default_registry(), features=names)
        lines = (folder / spoken.table).read_text("utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        features = {
            name: [np.load(folder / name / f"{row['id']}.npy") for row in rows] for name in names
        }
        features["waveform"] = [read_audio(folder / row["audio"]).samples for row in rows]
        symbols = teacher.vocabulary.symbols
        features["phonemes"] = [np.array(symbols.encode(list(row["text"]))) for row in rows]
        return Batch(
            ids=tuple(row["id"] for row in rows),
            features={name: padded(arrays) for name, arrays in features.items()},
            speakers=torch.zeros(2, dtype=torch.long),
            languages=torch.zeros(2, dtype=torch.long),
            audio_seconds=1.0,
        )

    def test_the_teacher_itself_has_no_loss(self, tmp_path: Path) -> None:
        teacher = voice()
        objective = self.objective(PARTS, teacher)
        with torch.no_grad():
            losses = objective.eval_step(Still(objective), self.batch(tmp_path, teacher))
        assert losses.keys() >= {"latents_loss", "hidden_loss", "prior_loss", "mel_loss"}
        for name, loss in losses.items():
            # Of latents and statistics in half precision, and waveforms of 16 bits.
            if name in ("latents_loss", "hidden_loss", "prior_loss"):
                assert float(loss) < 2e-3, name
        generator = objective.modules["generator"]
        with torch.no_grad():
            for part in ("flow.couplings.0.output", "text_encoder.prior"):
                generator.get_submodule(part).bias += 0.5
            changed = objective.eval_step(Still(objective), self.batch(tmp_path, teacher))
        assert float(changed["latents_loss"]) > 0.1
        assert float(changed["prior_loss"]) > 0.05
        assert float(changed["hidden_loss"]) == float(losses["hidden_loss"])

    def test_only_the_parts_learn(self) -> None:
        for part in PARTS:
            objective = self.objective((part,), voice())
            learning = {
                name.partition(".")[0]
                for name, parameter in objective.modules["generator"].named_parameters()
                if parameter.requires_grad
            }
            assert learning == {part}
        assert features_of(("decoder",)) == ("waveform", LATENTS)
        assert "phonemes" in features_of(("text_encoder",))

    def test_texts_read_otherwise_are_left_out(self) -> None:
        objective = self.objective(PARTS, voice())
        lengths = {"phonemes": 5, ENCODED_TEXT: 5}
        assert objective.reject(lengths) is None
        dropped = objective.reject(lengths | {ENCODED_TEXT: 7})
        assert dropped is not None
        assert "5 symbols, the teacher read 7" in dropped.detail


class Still:
    """A runtime in which nothing is updated."""

    def __init__(self, objective: DistillObjective) -> None:
        self._modules = objective.modules

    def __getitem__(self, name: str) -> torch.nn.Module:
        return self._modules[name]

    def autocast(self) -> AbstractContextManager[None]:
        return nullcontext()


def padded(arrays: list[np.ndarray]) -> Padded:
    tensors = [
        torch.from_numpy(array).float() if array.dtype.kind == "f" else torch.from_numpy(array)
        for array in arrays
    ]
    return Padded(
        values=torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True),
        lengths=torch.tensor([len(tensor) for tensor in tensors]),
    )


def test_layers_at_equal_distances_are_kept() -> None:
    assert spread(6, 3) == [0, 2, 5]
    assert spread(4, 2) == [0, 3]
    assert spread(4, 1) == [3]
    teacher = evolve(CONFIG, text_encoder=evolve(CONFIG.text_encoder, layers=6))
    weights = {f"text_encoder.blocks.{n}.norm.weight": torch.full((1,), float(n)) for n in range(6)}
    weights["flow.couplings.1.wavenet.gates.0.bias"] = torch.ones(1)
    student = evolve(CONFIG, text_encoder=evolve(CONFIG.text_encoder, layers=3))
    found = thinned(weights, teacher, student, PARTS)
    assert {name: float(tensor) for name, tensor in found.items()} == {
        "text_encoder.blocks.0.norm.weight": 0.0,
        "text_encoder.blocks.1.norm.weight": 2.0,
        "text_encoder.blocks.2.norm.weight": 5.0,
        "flow.couplings.1.wavenet.gates.0.bias": 1.0,
    }
    assert thinned(weights, teacher, student, ("decoder",)) == weights
