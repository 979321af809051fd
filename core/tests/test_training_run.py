"""Complete runs in this process: logs, validation, samples, checkpoints and events."""

import json
import logging
import types

import numpy as np
import pytest
import torch
from attrs import evolve
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_toys import (
    GanConfig,
    MemoryCorpus,
    Recorder,
    Regressor,
    RegressorConfig,
    in_memory,
    make_experiment,
    toy_registry,
    train_toy,
)

from allophone.config import load_experiment
from allophone.config.experiment import KeepConfig
from allophone.data.vocabulary import Vocabulary, read_vocabulary
from allophone.errors import ConfigError, UserError
from allophone.events import (
    CheckpointSaved,
    RunFinished,
    RunStarted,
    SamplesMade,
    StepFinished,
    TrainEvent,
    Validated,
)
from allophone.files.run_folder import checkpoints, find_checkpoint
from allophone.hookspecs import hookimpl
from allophone.text.symbols import SymbolTable
from allophone.training import run as run_module
from allophone.training.finetune import extend_vocabulary
from allophone.training.objective import Adapted
from allophone.training.observers import colorize, registered
from allophone.weights.files import read_weights, strip_prefix, write_weights


@pytest.fixture(scope="module")
def registry():
    return toy_registry()


@pytest.fixture(autouse=True)
def memory():
    with in_memory():
        yield


@pytest.fixture
def corpus(monkeypatch):
    """corpus(**changes) is what runs train on."""

    def use(**changes):
        monkeypatch.setattr(
            run_module,
            "open_corpus",
            lambda experiment, registry: MemoryCorpus(experiment=experiment, **changes),
        )

    return use


def lines_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_events_are_sent_in_order(tmp_path, registry):
    experiment = make_experiment(
        max_steps=4, log_every=2, validate_every=2, sample_every=4, checkpoint_every=2
    )
    recorder = train_toy(tmp_path, experiment, registry=registry)
    told = [(type(event).__name__, event.step) for event in recorder.events]
    assert told == [
        ("RunStarted", 0),
        ("StepFinished", 2),
        ("Validated", 2),
        ("CheckpointSaved", 2),
        ("StepFinished", 4),
        ("Validated", 4),
        ("SamplesMade", 4),
        ("CheckpointSaved", 4),
        ("RunFinished", 4),
    ]
    assert recorder.of(RunStarted)[0].config["trainer"]["type"] == "toy.regressor"
    assert recorder.of(RunFinished)[0].reason == "max_steps"
    assert load_experiment(tmp_path / "config.toml", registry=registry) == experiment
    assert "a" in read_vocabulary(tmp_path / "vocabulary.json").symbols.ids


def test_the_log_has_means_over_the_steps_since_the_last_one(tmp_path, registry):
    every = train_toy(tmp_path / "1", make_experiment(max_steps=6), registry=registry)
    third = train_toy(tmp_path / "3", make_experiment(max_steps=6, log_every=3), registry=registry)
    means = [np.mean(every.losses[:3]), np.mean(every.losses[3:])]
    assert third.losses == pytest.approx(means, rel=1e-12)
    assert third.of(StepFinished)[0].metrics["utterances"] == 4.0
    # Two batches of four are an epoch: 10 utterances, of which the loader leaves two out.
    assert [event.epoch for event in third.of(StepFinished)] == [1, 2]
    assert third.of(StepFinished)[0].throughput.keys() == {
        "steps",
        "utterances",
        "audio_seconds",
        "peak_memory_bytes",
    }


def test_metrics_have_one_line_per_step_with_full_precision(tmp_path, registry):
    recorder = train_toy(
        tmp_path, make_experiment(max_steps=3, validate_every=3), registry=registry
    )
    lines = lines_of(tmp_path)
    assert [(line["event"], line["step"]) for line in lines] == [
        ("step", 1),
        ("step", 2),
        ("step", 3),
        ("validated", 3),
    ]
    assert [line["metrics"]["loss"] for line in lines[:3]] == recorder.losses
    assert lines[3]["metrics"] == recorder.of(Validated)[0].metrics


def test_tensorboard_has_scalars_audio_and_images(tmp_path, registry):
    train_toy(
        tmp_path,
        make_experiment(max_steps=2, validate_every=2, sample_every=2, samples=4),
        registry=registry,
    )
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    tags = board.Tags()
    assert {"train/loss", "train/gradient_norm/model", "valid/loss", "throughput/steps"} <= set(
        tags["scalars"]
    )
    assert sorted(tags["audio"]) == [f"u{number}/audio" for number in range(100, 104)]
    assert sorted(tags["images"]) == [f"u{number}/mel" for number in range(100, 104)]
    assert [event.step for event in board.Scalars("train/loss")] == [1, 2]
    assert board.Audio("u100/audio")[0].sample_rate == 8000
    assert (board.Images("u100/mel")[0].width, board.Images("u100/mel")[0].height) == (20, 8)


def test_images_are_upright_and_use_all_colors():
    image = colorize(np.array([[0.0, 1.0], [2.0, 4.0]]))
    assert image.shape == (2, 2, 3)
    dark, bright = image[1, 0].sum(), image[0, 1].sum()
    assert dark == image.sum(-1).min()
    assert bright == image.sum(-1).max()
    assert colorize(np.zeros((2, 3))).shape == (2, 3, 3)


def test_validation_is_weighted_repeatable_and_does_not_affect_training(tmp_path, registry):
    often = make_experiment(RegressorConfig(dropout=0.3), max_steps=6, validate_every=2)
    seldom = evolve(often, runtime=evolve(often.runtime, validate_every=100))
    first = train_toy(tmp_path / "1", often, registry=registry)
    second = train_toy(tmp_path / "2", seldom, registry=registry)
    assert first.losses == second.losses
    drawn = {event.metrics["drawn"] for event in first.of(Validated)}
    assert len(drawn) == 1


def test_the_average_is_used_for_validation_samples_and_voices(tmp_path, registry):
    plain = make_experiment(max_steps=6, validate_every=6)
    kept = evolve(plain, runtime=evolve(plain.runtime, ema_decay=0.9))
    own = train_toy(tmp_path / "own", plain, registry=registry)
    averaged = train_toy(tmp_path / "averaged", kept, registry=registry)
    assert own.losses == averaged.losses
    assert own.of(Validated)[0].metrics["loss"] != averaged.of(Validated)[0].metrics["loss"]
    checkpoint = find_checkpoint(tmp_path / "averaged")
    weights = read_weights(checkpoint.path / "model.safetensors")
    spoken = read_weights(checkpoint.inference_weights)
    assert spoken.keys() == weights.keys()
    assert not torch.equal(spoken["model.body.0.weight"], weights["model.body.0.weight"])


def test_only_the_inference_module_is_averaged(tmp_path, registry):
    train_toy(tmp_path, make_experiment(GanConfig(), max_steps=2, ema_decay=0.9), registry=registry)
    checkpoint = find_checkpoint(tmp_path)
    weights = read_weights(checkpoint.path / "model.safetensors")
    spoken = read_weights(checkpoint.inference_weights)
    assert strip_prefix(weights, "discriminator")
    assert not strip_prefix(spoken, "discriminator")
    assert strip_prefix(spoken, "model").keys() == strip_prefix(weights, "model").keys()


def test_the_best_metric_is_computed_for_every_checkpoint(tmp_path, registry):
    experiment = make_experiment(
        max_steps=6, checkpoint_every=2, keep=KeepConfig(last=1, best_metric="loss")
    )
    recorder = train_toy(tmp_path, experiment, registry=registry)
    rated = {event.step: event.metrics["loss"] for event in recorder.of(Validated)}
    assert rated.keys() == {2, 4, 6}
    best = min(rated, key=lambda step: rated[step])
    assert {found.step for found in checkpoints(tmp_path)} == {best, 6}


def test_a_metric_that_is_not_measured_cannot_be_best(tmp_path, registry, corpus):
    experiment = make_experiment(max_steps=1, keep=KeepConfig(best_metric="los"))
    with pytest.raises(UserError, match="'los'") as caught:
        train_toy(tmp_path / "misspelt", experiment, registry=registry)
    assert "Did you mean 'loss'" in caught.value.hint


def test_training_without_validation_utterances_warns(tmp_path, registry, corpus, caplog):
    corpus(valid=0)
    keep = KeepConfig(best_metric="loss")
    experiment = make_experiment(max_steps=2, validate_every=1, sample_every=1, keep=keep)
    recorder = train_toy(tmp_path, experiment, registry=registry)
    assert not recorder.of(Validated)
    assert not recorder.of(SamplesMade)
    assert "Nothing is validated" in caplog.text
    assert "runtime.keep.best_metric = 'loss'" in caplog.text


def test_accumulation_can_span_two_epochs(tmp_path, registry):
    recorder = train_toy(tmp_path, make_experiment(max_steps=4, accumulate=3), registry=registry)
    assert recorder.of(StepFinished)[-1].metrics["utterances"] == 4.0
    assert [event.epoch for event in recorder.of(StepFinished)] == [1, 2, 4, 5]


def test_every_event_has_the_run_and_the_model(tmp_path, registry):
    experiment = make_experiment(max_steps=2, validate_every=1, sample_every=1, checkpoint_every=1)
    recorder = train_toy(tmp_path, experiment, registry=registry)
    assert {type(event) for event in recorder.events} == set(TrainEvent.__subclasses__())
    assert {(event.model, event.run) for event in recorder.events} == {("toy.model", tmp_path)}


def test_a_resumed_run_repeats_only_events_after_its_checkpoint(tmp_path, registry):
    class Interrupts:
        @hookimpl
        def allophone_train_event(self, event):
            if isinstance(event, StepFinished) and event.step == 3:
                raise KeyboardInterrupt

    experiment = make_experiment(max_steps=4, checkpoint_every=2)
    first, second = Recorder(), Recorder()
    with registered(registry, first, Interrupts()), pytest.raises(KeyboardInterrupt):
        train_toy(tmp_path, experiment, registry=registry)
    with registered(registry, second):
        train_toy(tmp_path, experiment, registry=registry, resume=find_checkpoint(tmp_path))
    steps = [
        [(type(event).__name__, event.step) for event in one.events] for one in (first, second)
    ]
    assert steps[0] == [
        ("RunStarted", 0),
        ("StepFinished", 1),
        ("StepFinished", 2),
        ("CheckpointSaved", 2),
        ("StepFinished", 3),
        ("RunFinished", 3),
    ]
    assert steps[1] == [
        ("RunStarted", 2),
        ("StepFinished", 3),
        ("StepFinished", 4),
        ("CheckpointSaved", 4),
        ("RunFinished", 4),
    ]
    assert second.losses[0] == first.losses[2], "the step is taken again, not the next one"


def test_failing_observers_are_logged_once_per_error_type(tmp_path, caplog):
    def allophone_train_event(event):
        if isinstance(event, StepFinished):
            if event.step == 3:
                raise ValueError("no such address")
            raise OSError(f"no such host at step {event.step}")

    module = types.ModuleType("mail")
    module.CONTRACT, module.allophone_train_event = 1, hookimpl(allophone_train_event)
    recorder = Recorder()
    registry = toy_registry(mail=module)
    with registered(registry, recorder), caplog.at_level(logging.WARNING):
        train_toy(tmp_path, make_experiment(max_steps=4), registry=registry)
    assert len(recorder.of(StepFinished)) == 4
    told = [record.message for record in caplog.records if "observer" in record.message]
    line = allophone_train_event.__code__.co_firstlineno
    assert told == [
        "The observer 'mail' of mail failed on StepFinished at step 1; training continues: "
        f"OSError: no such host at step 1 ({__file__}:{line + 4})",
        "The observer 'mail' of mail failed on StepFinished at step 3; training continues: "
        f"ValueError: no such address ({__file__}:{line + 3})",
    ]


def test_an_error_ends_the_run_with_an_event(tmp_path, registry):
    recorder = Recorder()
    experiment = make_experiment(RegressorConfig(fails_at=2), max_steps=9, checkpoint_every=1)
    with registered(registry, recorder), pytest.raises(FloatingPointError, match="at step 2"):
        train_toy(tmp_path, experiment, registry=registry)
    assert "became nan" in recorder.of(RunFinished)[0].reason
    assert [event.step for event in recorder.of(CheckpointSaved)] == [1, 2]


def test_checkpoints_of_another_run_are_not_overwritten(tmp_path, registry):
    experiment = make_experiment(max_steps=2, checkpoint_every=1)
    train_toy(tmp_path, experiment, registry=registry)
    with pytest.raises(UserError, match="already contains a run, at step 2") as caught:
        train_toy(tmp_path, experiment, registry=registry)
    assert "--resume" in caught.value.hint
    first = checkpoints(tmp_path)[0]
    with pytest.raises(UserError, match="checkpoints up to step 2") as caught:
        train_toy(tmp_path, experiment, registry=registry, resume=first)
    assert "--run" in caught.value.hint


def test_an_objective_without_the_inference_module_is_refused(tmp_path, registry, monkeypatch):
    monkeypatch.setattr(Regressor, "optimizers", lambda self: pytest.fail("the check comes before"))
    before = Regressor.__init__

    def renamed(self, *arguments):
        before(self, *arguments)
        self.modules = {"modell": self.modules["model"]}

    monkeypatch.setattr(Regressor, "__init__", renamed)
    with pytest.raises(UserError, match="inference_module 'model'"):
        train_toy(tmp_path, make_experiment(), registry=registry)


def test_an_experiment_without_a_trainer_is_refused(tmp_path, registry):
    experiment = evolve(make_experiment(), trainer=None)
    with pytest.raises(ConfigError, match=r"no \[trainer\]"):
        train_toy(tmp_path, experiment, registry=registry)


# Fine-tuning.


def table(symbols, **special):
    return SymbolTable.from_symbols(symbols, **special)


def test_a_vocabulary_that_covers_the_data_is_kept():
    source = Vocabulary(
        symbols=table("abcd", blank="_"), speakers=("x", "y"), languages=("en", "de")
    )
    data = Vocabulary(symbols=table("bc", blank="_"), speakers=("y",), languages=("de",))
    assert extend_vocabulary(source, data) == source


def test_new_names_come_after_the_known_ones():
    source = Vocabulary(symbols=table("bd", blank="_"), speakers=("y", "x"))
    data = Vocabulary(symbols=table("abcd", blank="_", eos="$"), speakers=("z", "x"))
    joined = extend_vocabulary(source, data)
    assert joined.speakers == ("y", "x", "z")
    assert joined.symbols.eos == "$"
    known = {symbol: joined.symbols.ids[symbol] for symbol in source.symbols.ids}
    assert known == source.symbols.ids
    assert sorted(joined.symbols.ids.values()) == list(range(6))


def test_a_single_speaker_is_replaced():
    source = Vocabulary(symbols=table("a"), speakers=("joe",), languages=("en",))
    data = Vocabulary(symbols=table("a"), speakers=("ann",), languages=("ru",))
    assert extend_vocabulary(source, data).speakers == ("ann",)
    assert extend_vocabulary(source, data).languages == ("ru",)


def test_fine_tuning_transfers_what_fits_and_reports_every_tensor(
    tmp_path, registry, corpus, caplog
):
    experiment = make_experiment(max_steps=3, ema_decay=0.5)
    train_toy(tmp_path / "source", experiment, registry=registry)
    source = read_weights(find_checkpoint(tmp_path / "source").path / "average.safetensors")
    corpus(symbols="abcxy")
    still = make_experiment(RegressorConfig(learning_rate=0.0), max_steps=1)
    with caplog.at_level(logging.INFO):
        recorder = train_toy(
            tmp_path / "tuned", still, registry=registry, finetune=tmp_path / "source"
        )
    assert recorder.of(StepFinished)[0].step == 1
    tuned = read_weights(find_checkpoint(tmp_path / "tuned").path / "model.safetensors")
    assert torch.equal(tuned["model.body.0.weight"], source["model.body.0.weight"])
    rows = source["model.symbols.weight"]
    assert len(rows) == 4
    assert torch.equal(tuned["model.symbols.weight"][:4], rows)
    assert len(tuned["model.symbols.weight"]) == 6

    report = json.loads((tmp_path / "tuned" / "finetune.json").read_text())
    assert report["grown"] == {"model.symbols.weight": 2}
    assert report["symbols"] == ["x", "y"]
    assert set(report["taken"]) == set(source) - {"model.symbols.weight"}
    assert report["skipped"] == {}
    assert report["new"] == []
    assert "4 tensors taken, 1 grown, 0 skipped, 0 new" in caplog.text


def test_fine_tuning_from_a_voice_reports_skipped_tensors(tmp_path, registry):
    train_toy(tmp_path / "source", make_experiment(max_steps=1), registry=registry)
    checkpoint = find_checkpoint(tmp_path / "source").path
    voice = tmp_path / "voice"
    voice.mkdir()
    weights = strip_prefix(read_weights(checkpoint / "model.safetensors"), "model")
    weights["extra"] = torch.zeros(1)
    del weights["body.3.bias"]
    write_weights(voice / "model.safetensors", weights)
    (voice / "vocabulary.json").write_text((checkpoint / "vocabulary.json").read_text())
    other = make_experiment(hidden=5, max_steps=1)
    with pytest.raises(UserError, match="No weight of"):
        train_toy(tmp_path / "misfit", other, registry=registry, finetune=voice)
    train_toy(tmp_path / "tuned", make_experiment(max_steps=1), registry=registry, finetune=voice)
    report = json.loads((tmp_path / "tuned" / "finetune.json").read_text())
    assert report["skipped"] == {"model.extra": "not in the model"}
    assert report["new"] == ["model.body.3.bias"]
    assert len(report["taken"]) == 4


def test_other_shapes_are_skipped_and_reported(tmp_path, registry):
    train_toy(tmp_path / "source", make_experiment(max_steps=1), registry=registry)
    wide = make_experiment(hidden=5, max_steps=1)
    train_toy(tmp_path / "wide", wide, registry=registry, finetune=tmp_path / "source")
    report = json.loads((tmp_path / "wide" / "finetune.json").read_text())
    assert report["taken"] == ["model.body.3.bias"]
    assert (
        report["skipped"]["model.body.0.weight"] == "different shape: source [4, 4], model [5, 4]"
    )


def test_an_objective_may_adapt_what_does_not_fit(tmp_path, registry, monkeypatch):
    train_toy(tmp_path / "source", make_experiment(max_steps=1), registry=registry)
    source = read_weights(find_checkpoint(tmp_path / "source").path / "model.safetensors")

    def adapt(self, weights, batches):
        assert sum(len(batch) for batch in batches) > 0
        widened = torch.nn.functional.pad(weights["model.body.0.weight"], (0, 0, 0, 1))
        return {
            "model.body.0.weight": Adapted(
                tensor=widened, source="model.body.0.weight", how="a row added"
            ),
            "model.body.0.bias": Adapted(
                tensor=torch.full((5,), 2.0), source="model.body.0.bias", how="set to two"
            ),
        }

    monkeypatch.setattr(Regressor, "adapt", adapt, raising=False)
    wide = make_experiment(RegressorConfig(learning_rate=0.0), hidden=5, max_steps=1)
    train_toy(tmp_path / "wide", wide, registry=registry, finetune=tmp_path / "source")
    report = json.loads((tmp_path / "wide" / "finetune.json").read_text())
    assert report["adapted"] == {
        "model.body.0.weight": "a row added",
        "model.body.0.bias": "set to two",
    }
    assert not set(report["adapted"]) & {*report["taken"], *report["skipped"], *report["new"]}
    tuned = read_weights(find_checkpoint(tmp_path / "wide").path / "model.safetensors")
    assert torch.equal(tuned["model.body.0.weight"][:4], source["model.body.0.weight"])
    assert torch.equal(tuned["model.body.0.bias"], torch.full((5,), 2.0))
