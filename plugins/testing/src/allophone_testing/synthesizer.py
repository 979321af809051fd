"""What synthesis expects of a model: the contract of a synthesizer.

from allophone_testing import SynthesizerContract

class TestSpeaking(SynthesizerContract):
    recipe = "mine/tiny"
    overrides = ("model.channels=16",)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from attrs import evolve
from numpy.typing import NDArray
from torch import Tensor

from allophone.config import Experiment
from allophone.data.vocabulary import Vocabulary
from allophone.datasets.loading import Corpus
from allophone.errors import UserError
from allophone.features.recordings import RecordingReader
from allophone.inference.engine import TorchEngine, open_voice, synthesizer_of, text_batch
from allophone.inference.exporting import export_voice
from allophone.inference.folder import StoredVoice, write_voice
from allophone.inference.protocol import Mels, Speech
from allophone.registry import Registry
from allophone.synthesis.description import About, VoiceDescription
from allophone.synthesis.engine import Sentence
from allophone.synthesis.loading import light_engine, load
from allophone.synthesis.voice import Voice
from allophone_testing.controls import check_controls, check_controls_are_used
from allophone_testing.experiment import ExperimentContract, build_objective, trainer_of
from allophone_testing.gpu import APART, GPU, distance, without_tf32

ROUNDING = 1e-4
"""By how much a batch may differ from its rows, in samples between -1 and 1 or in units of the mel."""

STREAM_ROUNDING = 1e-5
"""By how much the stream of an exported voice may differ from what it says at once, in samples between -1 and 1."""

Texts = tuple[str, str, str]
Values = NDArray[np.float32]
CPU = torch.device("cpu")


class SynthesizerContract(ExperimentContract):
    """A model with random weights speaks as voices promise: repeatably, in batches, in chunks.

    It is built from what the recipe's objective begins with, so it needs no training.

    exports: whether the model's exporters are tried, which may take long: one class is enough for
        recipes that are exported alike.
    exported_within: by how much what is exported may differ from the voice, as between a batch and its rows.
    inert_controls: controls that this recipe's model has no use for; say why beside them.
    gpu_within: by how much a GPU may differ from the CPU; None if they say different things, since the model computes
        with other numbers there. Say why beside it.
    """

    exports: bool = True
    gpu_within: float | None = APART
    exported_within: float = ROUNDING
    inert_controls: tuple[str, ...] = ()

    @classmethod
    def weights(
        cls, experiment: Experiment, vocabulary: Vocabulary, registry: Registry
    ) -> Mapping[str, Tensor]:
        """The weights to speak with: those of the module that the recipe's trainer names in `inference_module`.

        Replace this where a voice is made of more than one training.
        """
        objective = build_objective(experiment, vocabulary, registry)
        return objective.modules[trainer_of(experiment, registry).inference_module].state_dict()

    @pytest.fixture(scope="class")
    @classmethod
    def texts(cls, corpus: Corpus) -> Texts:
        """A short, a longer and a long sentence of the corpus, whose symbols the vocabulary has."""
        by_length = sorted((u.text for u in corpus.split("train")), key=len)
        return by_length[0], by_length[len(by_length) // 2], by_length[-1]

    @pytest.fixture(scope="class")
    @classmethod
    def stored(
        cls, experiment: Experiment, vocabulary: Vocabulary, registry: Registry
    ) -> StoredVoice:
        """The voice, as it would lie on disk."""
        description = VoiceDescription(
            about=About(name="contract", licence="none"),
            model=experiment.model,
            audio=experiment.audio,
            text=experiment.text,
        )
        weights = cls.weights(experiment, vocabulary, registry)
        return StoredVoice(description=description, vocabulary=vocabulary, weights=weights)

    @pytest.fixture(scope="class")
    @classmethod
    def voice(cls, stored: StoredVoice, registry: Registry) -> Voice:
        """The voice, ready to speak."""
        return open_voice(stored, registry=registry)

    def rows(self, voice: Voice, *texts: str, seed: int = 0, **controls: Any) -> list[Values]:
        """What an engine makes of some texts in one batch: see `spoken`."""
        return self.spoken(voice, sentences_of(voice, *texts, seed=seed), **controls)

    def spoken(self, voice: Voice, sentences: Sequence[Sentence], **controls: Any) -> list[Values]:
        """What an engine makes of some sentences in one batch: samples [N] of each, or the mel [M, F] of a
        model that predicts mels."""
        if isinstance(voice.engine, TorchEngine):
            made = self.synthesize(voice, sentences, **controls)
            return [values_of(made, row).numpy() for row in range(len(sentences))]
        spoken = voice.engine.synthesize(sentences, voice.controls(controls))
        return [one.samples for one in spoken]

    def synthesize(
        self, voice: Voice, sentences: Sequence[Sentence], **controls: Any
    ) -> Speech | Mels:
        """What the model itself makes of some sentences, in one batch."""
        text = text_batch(sentences, CPU)
        with torch.inference_mode():
            made: Speech | Mels = synthesizer_of(voice).synthesize(text, voice.controls(controls))
        return made

    def test_controls_have_defaults_and_are_checked(self, voice: Voice) -> None:
        check_controls(voice)

    def test_each_control_is_used(self, voice: Voice, texts: Texts) -> None:
        check_controls_are_used(voice, sentences_of(voice, texts[2]), self.inert_controls)

    def test_lengths_and_durations_agree(
        self, voice: Voice, texts: Texts, experiment: Experiment
    ) -> None:
        said = self.synthesize(voice, sentences_of(voice, *texts))
        values = said.mel.transpose(1, 2) if isinstance(said, Mels) else said.waveform
        assert len(values) == len(said.lengths) == len(texts), "There is not one row a sentence."
        assert values.dtype == torch.float32, f"{values.dtype} should be float32."
        assert values.isfinite().all(), "There is NaN or infinity in what was said."
        for row, length in zip(values, said.lengths.tolist(), strict=True):
            assert 0 < length <= len(row), f"A length of {length} in a row of {len(row)}."
            assert not row[length:].any(), "What is past the length of a row should be zero."
        if said.durations is not None:
            hop = 1 if isinstance(said, Mels) else experiment.audio.hop_length
            frames = said.durations.sum(1).tolist()
            assert [count * hop for count in frames] == said.lengths.tolist(), (
                f"Durations of {frames} frames in all do not make lengths of "
                f"{said.lengths.tolist()} with {hop} a frame: phonemes would be timed wrongly."
            )

    def test_a_batch_says_what_its_rows_say(self, voice: Voice, texts: Texts) -> None:
        together = self.rows(voice, *texts)
        for row, text in enumerate(texts):
            (alone,) = self.rows(voice, text)
            length = alone.shape[-1]
            assert together[row].shape[-1] == length, (
                f"'{text}' has the length {length} alone and {together[row].shape[-1]} in a batch: mask "
                "padding in what predicts durations, and draw noise row by row, each row from a "
                "generator with its own seed."
            )
            apart = float(np.abs(together[row] - alone).max())
            assert apart < ROUNDING, (
                f"'{text}' differs by {apart:.2g} between alone and in a batch: mask padding at the "
                "input of each layer, and draw noise row by row, each row from its own seed."
            )

    @pytest.mark.gpu
    def test_a_gpu_says_what_the_cpu_says(
        self, stored: StoredVoice, voice: Voice, texts: Texts, registry: Registry
    ) -> None:
        sentences = sentences_of(voice, *texts)
        on_gpu = synthesizer_of(open_voice(stored, registry=registry, device=str(GPU)))
        with torch.inference_mode(), without_tf32():
            made = on_gpu.synthesize(text_batch(sentences, GPU), voice.controls({}))
        expected = self.synthesize(voice, sentences)
        for row, text in enumerate(texts):
            here, there = values_of(expected, row), values_of(made, row).cpu()
            assert there.isfinite().all(), f"There is NaN or infinity in '{text}' on a GPU."
            if self.gpu_within is not None:
                apart = distance(f"'{text}'", here, there)
                assert apart < self.gpu_within, f"'{text}' differs by {apart:.2g} on a GPU."

    def test_each_speaker_has_a_voice(self, voice: Voice, texts: Texts) -> None:
        last = len(voice.speakers) - 1
        if last < 1 or voice.takes_prompts:
            pytest.skip("It has no speakers to choose from; set `speakers` where the model can.")
        (sentence, *_) = sentences_of(voice, texts[1])
        sentences = [evolve(sentence, speaker=id) for id in (0, last)]
        alone = [self.spoken(voice, [one])[0] for one in sentences]
        assert not np.array_equal(alone[0], alone[1]), (
            f"The speakers '{voice.speakers[0]}' and '{voice.speakers[last]}' sound alike to the last bit: is "
            "`TextBatch.speakers` passed on?"
        )
        for one, other in zip(alone, self.spoken(voice, sentences), strict=True):
            same = one.shape == other.shape and bool(np.abs(one - other).max() < ROUNDING)
            assert same, (
                "A speaker sounds otherwise in a batch with another one: look speakers up row by row."
            )

    def test_a_seed_says_the_same_again(self, voice: Voice, texts: Texts) -> None:
        first, again = (self.rows(voice, texts[0], seed=7)[0] for _ in range(2))
        torch.manual_seed(99)
        (third,) = self.rows(voice, texts[0], seed=7)
        for other in (again, third):
            assert first.shape == other.shape, "The same seed gives other lengths."
            assert np.array_equal(first, other), (
                "The same seed gives other samples: draw noise from a torch.Generator that is "
                "seeded with the row's seed, not from the global one."
            )

    def test_a_greater_length_scale_is_slower(self, voice: Voice, texts: Texts) -> None:
        names = {field.name for field in attrs.fields(voice.engine.controls)}
        if "length_scale" not in names:
            pytest.skip("This model has no length_scale.")
        usual, slow = (
            self.rows(voice, texts[2], length_scale=scale)[0].shape[-1] for scale in (1.0, 3.0)
        )
        assert slow > usual, f"length_scale=3 gives a length of {slow}, and 1 gives {usual}."

    def test_a_stream_joins_to_what_is_said(self, voice: Voice, texts: Texts) -> None:
        self._compare_stream(voice, texts, within=0.0)

    def _compare_stream(self, voice: Voice, texts: Texts, *, within: float) -> None:
        text = f"{texts[2]} {texts[1]}"
        said = voice.say(text, seed=3).samples
        chunks = list(voice.stream(text, seed=3))
        joined = np.concatenate(chunks)
        assert len(joined) == len(said), f"The stream has {len(joined)} samples, not {len(said)}."
        difference = np.abs(joined - said).max()
        assert difference <= within, (
            f"The stream differs by {difference:.2g} from what is said at once: "
            "decode in the same chunks both times, each with as much around it as the decoder sees."
        )

    def test_a_voice_folder_speaks_the_same(
        self,
        stored: StoredVoice,
        voice: Voice,
        texts: Texts,
        registry: Registry,
        tmp_path: Path,
    ) -> None:
        write_voice(tmp_path / "voice", stored, registry=registry)
        loaded = load(tmp_path / "voice", registry=registry)
        before, after = (one.say(texts[1], seed=5).samples for one in (voice, loaded))
        assert np.array_equal(before, after), (
            "After writing and loading the voice speaks otherwise: is there something beside the "
            "weights, the config and the vocabulary that decides what is said?"
        )

    def test_exported_it_says_the_same(
        self, stored: StoredVoice, voice: Voice, texts: Texts, registry: Registry, tmp_path: Path
    ) -> None:
        exporters = registry.entry_of("models", stored.description.model).exporters
        if not (self.exports and exporters):
            pytest.skip("No exporters are to be tried.")
        write_voice(tmp_path / "voice", stored, registry=registry)
        for exporter in exporters:
            for streaming in (False, True) if exporter.streaming else (False,):
                out = tmp_path / ("in-parts" if streaming else "whole") / f"voice.{exporter.name}"
                try:
                    export_voice(
                        tmp_path / "voice", out, exporter.name, registry, streaming=streaming
                    )
                except UserError as error:
                    if (error.hint or "").startswith("pip install"):
                        pytest.skip(str(error))
                    raise
                assert out.exists(), f"The exporter '{exporter.name}' has not written {out.name}."
                if light_engine(out, registry) is not None:
                    self._compare_exported(voice, load(out, registry=registry), texts)

    def _compare_exported(self, voice: Voice, exported: Voice, texts: Texts) -> None:
        assert exported.sample_rate == voice.sample_rate, "It has another sample rate."
        silent: dict[str, Any] = {
            name: 0.0
            for name in ("noise_scale", "noise_scale_duration")
            if name in attrs.fields_dict(exported.engine.controls)
        }
        for text in texts:
            said, wanted = (self.rows(one, text, **silent)[0] for one in (exported, voice))
            assert said.shape == wanted.shape, (
                f"'{text}' has the length {len(said)} when exported, and {len(wanted)} by the voice: did "
                "tracing keep what its example decided?"
            )
            apart = float(np.abs(said - wanted).max())
            assert apart < self.exported_within, f"'{text}' differs by {apart:.2g} when exported."
        self.test_a_seed_says_the_same_again(exported, texts)
        self.test_a_batch_says_what_its_rows_say(exported, texts)
        # Engines of exported voices may take longer chunks where nobody waits for the first.
        self._compare_stream(exported, texts, within=STREAM_ROUNDING)

    def test_conversion_says_the_same_again(self, voice: Voice, texts: Texts) -> None:
        convert = getattr(synthesizer_of(voice), "convert", None)
        if convert is None:
            pytest.skip("This model converts no recordings.")
        waveform = torch.from_numpy(voice.say(texts[2]).samples)
        with torch.inference_mode():
            first, again = (convert(waveform, 0, len(voice.speakers) - 1, seed=1) for _ in range(2))
        assert first.ndim == 1, f"convert() should give samples [N], not {list(first.shape)}."
        assert first.isfinite().all(), "There is NaN or infinity among the converted samples."
        assert torch.equal(first, again), "The same seed converts otherwise."

    def test_alignment_covers_the_recordings(
        self, voice: Voice, corpus: Corpus, experiment: Experiment
    ) -> None:
        align = getattr(synthesizer_of(voice), "align", None)
        if align is None:
            pytest.skip("This model aligns no recordings.")
        items = sorted(corpus.stored, key=lambda item: item.seconds)
        lines, waveforms = list[Sentence](), []
        for item in (items[0], items[-1]):
            lines += voice.script(item.utterance.text)
            recording = RecordingReader(sample_rate=voice.sample_rate, trim_db=None)
            waveforms.append(torch.from_numpy(recording(item.utterance)))
        lengths = torch.tensor([len(waveform) for waveform in waveforms])
        padded = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
        text = text_batch(lines, CPU)
        with torch.inference_mode():
            together = align(text, padded, lengths)
            alone = align(text_batch(lines[:1], CPU), waveforms[0].unsqueeze(0), lengths[:1])
        assert together.shape == text.ids.shape, (
            "align() should give durations for each id: [B, T]."
        )
        assert together.dtype == torch.int64, f"{together.dtype} should be int64: whole frames."
        frames = [experiment.audio.frames(length) for length in lengths.tolist()]
        aligned = together.sum(1).tolist()
        assert aligned == frames, f"{aligned} frames are aligned where there are {frames}."
        ids = int(text.lengths[0])
        assert not together[0, ids:].any(), "What is past the text should last no frames."
        assert (together >= 0).all(), "There are negative durations."
        assert torch.equal(together[0, :ids], alone[0, :ids]), (
            "A recording is aligned otherwise in a batch than alone: mask padding, draw no noise."
        )


def sentences_of(voice: Voice, *texts: str, seed: int = 0) -> list[Sentence]:
    """The sentences of some texts; each text begins with the seed."""
    return [sentence for text in texts for sentence in voice.script(text, seed=seed)]


def values_of(said: Speech | Mels, row: int) -> Tensor:
    """One row of what was said, without padding: samples [N] or a mel [M, F]."""
    values = said.mel if isinstance(said, Mels) else said.waveform
    return values[row, ..., : int(said.lengths[row])]
