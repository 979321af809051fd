"""The contracts of training and speaking notice when they are broken, and say by what.

What is broken is the plugin that `allophone new-plugin` writes; that it keeps all contracts as it is
written is tested in tests/.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest
import torch
from attrs import evolve, frozen
from torch import nn

from allophone.entries import EngineEntry, ExporterEntry
from allophone.events import SampleAudio
from allophone.hookspecs import hookimpl
from allophone.inference.engine import load_stored
from allophone.inference.folder import read_voice, write_voice
from allophone.registry import build_registry
from allophone_testing import SynthesizerContract, TrainerContract
from allophone_testing.experiment import ExperimentContract
from allophone_testing.ranks import train_on_ranks
from allophone_testing.templates import write_plugin

NAME = "contract-breaker"
PACKAGE = "allophone_contract_breaker"


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """The modules of a new plugin, by name."""
    folder = write_plugin(NAME, tmp_path_factory.mktemp("plugin"))
    sys.path.insert(0, str(folder / "src"))
    names = ("hooks", "config", "model", "objective", "synthesis")
    yield {name: importlib.import_module(f"{PACKAGE}.{name}") for name in names}
    sys.path.remove(str(folder / "src"))


class OnPlugin(ExperimentContract):
    """Runs single tests of a contract on the plugin."""

    recipe = f"{NAME}/tiny"
    overrides = ("model.channels=8", "model.layers=1")

    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls, plugin):
        return build_registry({NAME: plugin["hooks"]})


@pytest.fixture
def objective_class(plugin):
    return plugin["objective"].AcousticObjective


def after_init(monkeypatch, cls, change):
    """Have `change(self)` called at the end of a class's `__init__`."""
    made = cls.__init__

    def init(self, *args, **kwargs):
        made(self, *args, **kwargs)
        change(self)

    monkeypatch.setattr(cls, "__init__", init)


def with_losses(monkeypatch, cls, change):
    """Have the losses of an objective go through `change(self, losses)`."""
    usual = cls.losses
    monkeypatch.setattr(cls, "losses", lambda self, rt, batch: change(self, usual(self, rt, batch)))


def without_mask(self, hidden, mask):
    for convolution in self.convolutions:
        hidden = hidden + convolution(hidden.transpose(1, 2)).transpose(1, 2)
    return hidden


class TestTrainerViolations(OnPlugin):
    @pytest.fixture
    def check(self, experiment, vocabulary, registry, batch):
        """Run a test of the contract, which must fail and say so."""

        def run(test, said, **settings):
            contract = TrainerContract()
            for name, value in settings.items():
                setattr(contract, name, value)
            with pytest.raises(AssertionError, match=said):
                getattr(contract, test)(experiment, vocabulary, registry, batch)

        return run

    def test_padding_that_is_heard(self, check, plugin, monkeypatch):
        monkeypatch.setattr(plugin["model"].ConvolutionStack, "forward", without_mask)
        check("test_padding_changes_nothing", r"eval_step gives \{.*mel_loss.* Mask what is past")

    def test_padding_of_metrics_that_may_change(
        self, experiment, vocabulary, registry, batch, plugin, monkeypatch
    ):
        monkeypatch.setattr(plugin["model"].ConvolutionStack, "forward", without_mask)
        contract = TrainerContract()
        contract.padding_metrics = ()
        contract.test_padding_changes_nothing(experiment, vocabulary, registry, batch)

    def test_a_parameter_without_use(self, check, objective_class, monkeypatch):
        def unused(self):
            self.modules["acoustic"].spare = nn.Linear(2, 2)

        after_init(monkeypatch, objective_class, unused)
        check("test_gradients_reach_every_parameter", "No loss depends on acoustic.spare.bias")

    def test_a_parameter_without_effect(self, check, objective_class, monkeypatch):
        def add_scale(self):
            self.modules["acoustic"].scale = nn.Parameter(torch.ones(()))

        def ineffective(self, losses):
            scale = self.modules["acoustic"].scale
            return {**losses, "loss": losses["loss"] + 0 * scale}

        after_init(monkeypatch, objective_class, add_scale)
        with_losses(monkeypatch, objective_class, ineffective)
        check("test_gradients_reach_every_parameter", "gradients of acoustic.scale are all zero")

    def test_a_module_without_optimizer(
        self, experiment, vocabulary, registry, objective_class, monkeypatch
    ):
        def forget(self):
            self.modules = {**self.modules, "spare": nn.Linear(2, 2)}

        after_init(monkeypatch, objective_class, forget)
        with pytest.raises(AssertionError, match=r"\['spare'\] have parameters, and no optimizer"):
            TrainerContract().test_each_parameter_has_one_optimizer(
                experiment, vocabulary, registry
            )

    def test_a_module_with_two_optimizers(
        self, experiment, vocabulary, registry, objective_class, monkeypatch
    ):
        usual = objective_class.optimizers

        def doubled(self):
            plan = usual(self)["acoustic"]
            return {"one": plan, "two": plan}

        monkeypatch.setattr(objective_class, "optimizers", doubled)
        with pytest.raises(AssertionError, match=r"\['acoustic'\] belong to two optimizers"):
            TrainerContract().test_each_parameter_has_one_optimizer(
                experiment, vocabulary, registry
            )

    def test_a_metric_that_is_no_scalar(self, check, objective_class, monkeypatch):
        with_losses(
            monkeypatch, objective_class, lambda self, losses: {**losses, "all": torch.ones(3)}
        )
        check("test_a_step_gives_scalars", r"train_step gives \['all'\], which are not scalars")

    def test_a_model_that_does_not_learn(self, check, objective_class, monkeypatch):
        def freeze(self):
            self.learning_rate = 0.0

        after_init(monkeypatch, objective_class, freeze)
        check(
            "test_loss_falls_on_one_batch",
            "mel_loss was .* and is .* after 2 steps",
            learning_steps=2,
        )

    def test_a_metric_that_is_not_there(self, check):
        check("test_loss_falls_on_one_batch", "this test looks at 'beauty'", metric="beauty")

    def test_a_step_that_remembers_the_batch_before(self, check, objective_class, monkeypatch):
        with_losses(monkeypatch, objective_class, growing)
        check("test_accumulation_equals_the_batch", "gives other gradients to acoustic")

    def test_state_that_no_checkpoint_holds(
        self, experiment, registry, tmp_path, objective_class, monkeypatch
    ):
        with_losses(monkeypatch, objective_class, growing)
        with pytest.raises(AssertionError, match="After a resume acoustic"):
            TrainerContract().test_resume_is_bit_identical(experiment, registry, tmp_path)

    @pytest.mark.parametrize(
        ("sample", "said"),
        [
            (torch.zeros(9), "heard is not a NumPy array"),
            (torch.zeros(1, 9).numpy(), r"heard should be \['N'\], not \[1, 9\]"),
            (torch.full((9,), torch.nan).numpy(), "heard holds NaN"),
        ],
    )
    def test_samples_that_cannot_be_heard(self, check, objective_class, monkeypatch, sample, said):
        made = {"heard": SampleAudio(samples=sample, sample_rate=22050)}
        monkeypatch.setattr(objective_class, "sample", lambda self, rt, batch: made)
        check("test_samples_can_be_shown", said)


def growing(self, losses):
    """Losses that depend on how many there were before."""
    self.count = getattr(self, "count", 0) + 1
    return {**losses, "loss": losses["loss"] * self.count}


def test_what_fails_on_a_rank_is_told(tmp_path):
    failure = train_on_ranks(tmp_path / "absent.toml", tmp_path / "run")
    assert "absent.toml cannot be read" in failure


class TestSynthesizerViolations(OnPlugin):
    speakers = 2
    stored = SynthesizerContract.__dict__["stored"]
    texts = SynthesizerContract.__dict__["texts"]
    voice = SynthesizerContract.__dict__["voice"]
    weights = SynthesizerContract.__dict__["weights"]

    @pytest.fixture
    def check(self, voice, texts):
        def run(test, said, *further):
            with pytest.raises((AssertionError, pytest.fail.Exception), match=said):
                getattr(SynthesizerContract(), test)(voice, texts, *further)

        return run

    @pytest.fixture
    def changed(self, voice, monkeypatch):
        """Have what the synthesizer says go through `change(said)`."""

        def install(change):
            usual = voice.engine.synthesizer.synthesize
            monkeypatch.setattr(
                voice.engine.synthesizer,
                "synthesize",
                lambda text, controls: change(usual(text, controls)),
            )

        return install

    def test_padding_that_is_heard(self, check, plugin, monkeypatch):
        monkeypatch.setattr(plugin["model"].ConvolutionStack, "forward", without_mask)
        check("test_a_batch_says_what_its_rows_say", "mask padding")

    @pytest.mark.parametrize(
        ("chosen", "said"),
        [
            (lambda speakers: 0 * speakers, "'speaker-0' and 'speaker-1' sound alike"),
            (lambda speakers: 0 * speakers + speakers[0], "look speakers up row by row"),
        ],
    )
    def test_speakers_that_are_mistaken(self, check, plugin, monkeypatch, chosen, said):
        cls = plugin["model"].AcousticModel
        usual = cls.read
        monkeypatch.setattr(
            cls, "read", lambda self, text, speakers: usual(self, text, chosen(speakers))
        )
        check("test_each_speaker_has_a_voice", said)

    def test_noise_that_no_seed_decides(self, check, changed):
        changed(lambda said: evolve(said, mel=said.mel + torch.randn_like(said.mel)))
        check(
            "test_a_seed_says_the_same_again", "torch.Generator that is seeded with the row's seed"
        )

    def test_durations_that_do_not_add_up(self, check, changed, experiment):
        changed(lambda said: evolve(said, durations=said.durations + 1))
        check("test_lengths_and_durations_agree", "phonemes would be timed wrongly", experiment)

    def test_padding_that_is_not_zero(self, check, changed, experiment):
        changed(lambda said: evolve(said, mel=said.mel + 1))
        check("test_lengths_and_durations_agree", "past the length of a row", experiment)

    def test_a_length_scale_that_does_nothing(self, check, voice, monkeypatch):
        usual = voice.engine.synthesizer.synthesize
        monkeypatch.setattr(
            voice.engine.synthesizer,
            "synthesize",
            lambda text, controls: usual(text, voice.engine.synthesizer.controls()),
        )
        check("test_a_greater_length_scale_is_slower", "length_scale=3 gives a length of")

    def test_a_control_that_is_ignored(self, voice, texts, monkeypatch):
        @frozen(kw_only=True)
        class Controls(voice.engine.controls):
            warmth: float = 1.0

        monkeypatch.setattr(type(voice.engine.synthesizer), "controls", Controls)
        with pytest.raises(AssertionError, match="control warmth is offered, and nothing of it"):
            SynthesizerContract().test_each_control_is_used(voice, texts)

    def test_a_stream_that_says_something_else(self, check, voice, monkeypatch):
        def stream(text, controls):
            yield torch.zeros(256)

        monkeypatch.setattr(voice.engine.synthesizer, "stream", stream, raising=False)
        check("test_a_stream_joins_to_what_is_said", "The stream has .* samples, not")

    def test_controls_that_accept_anything(self, voice, monkeypatch):
        @frozen(kw_only=True)
        class Controls:
            length_scale: float = 1.0

        monkeypatch.setattr(type(voice.engine.synthesizer), "controls", Controls)
        with pytest.raises(pytest.fail.Exception, match="length_scale = 0.0 is accepted"):
            SynthesizerContract().test_controls_have_defaults_and_are_checked(voice)

    def test_a_voice_that_is_more_than_its_folder(
        self, stored, voice, texts, registry, tmp_path, plugin, monkeypatch
    ):
        def loud(self):
            self.model.to_correction.bias.data += 1

        after_init(monkeypatch, plugin["synthesis"].AcousticSynthesizer, loud)
        with pytest.raises(AssertionError, match="After writing and loading"):
            SynthesizerContract().test_a_voice_folder_speaks_the_same(
                stored, voice, texts, registry, tmp_path
            )

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda weights: weights, None),
            (lambda weights: {name: 1.1 * weight for name, weight in weights.items()}, "exported"),
        ],
    )
    def test_what_is_exported_says_something_else(
        self, stored, voice, texts, plugin, tmp_path, monkeypatch, change, said
    ):
        registry = with_exporter(plugin, monkeypatch, change)

        def check():
            SynthesizerContract().test_exported_it_says_the_same(
                stored, voice, texts, registry, tmp_path
            )

        if said is None:
            check()
        else:
            with pytest.raises(AssertionError, match=said):
                check()

    def test_an_exporter_that_writes_elsewhere(
        self, stored, voice, texts, plugin, tmp_path, monkeypatch
    ):
        registry = with_exporter(plugin, monkeypatch, dict)
        elsewhere = lambda voice, path: path.with_suffix(".else").write_text("")
        monkeypatch.setattr(sys.modules[__name__], "export_inner", elsewhere, raising=False)
        with pytest.raises(AssertionError, match=r"has not written voice\.inner"):
            SynthesizerContract().test_exported_it_says_the_same(
                stored, voice, texts, registry, tmp_path
            )


def with_exporter(plugin, monkeypatch, change):
    """A registry in which the plugin's model is exported, its weights through `change`, and played."""
    here = sys.modules[__name__]

    def export_inner(voice, destination):
        destination.mkdir()
        changed = evolve(voice, weights=change(voice.weights))
        write_voice(destination / "inner", changed, registry=registry)

    def load_inner(place, options):
        return load_stored(read_voice(place / "inner", registry), registry=options.registry)

    def recognises_inner(place):
        return (place / "inner").is_dir()

    for function in (export_inner, load_inner, recognises_inner):
        monkeypatch.setattr(here, function.__name__, function, raising=False)
    exporter = ExporterEntry(name="inner", summary="", exporter=f"{__name__}:export_inner")
    engine = EngineEntry(
        name="inner",
        summary="",
        engine=f"{__name__}:load_inner",
        recognises=f"{__name__}:recognises_inner",
        light=True,
    )

    @hookimpl
    def allophone_models():
        for entry in plugin["hooks"].allophone_models():
            yield evolve(entry, exporters=(exporter,))

    @hookimpl
    def allophone_engines():
        yield engine

    hooks = ModuleType("exporting")
    vars(hooks).update(
        vars(plugin["hooks"]),
        allophone_models=allophone_models,
        allophone_engines=allophone_engines,
    )
    registry = build_registry({NAME: hooks})
    return registry
