"""`allophone train`, in this process, with toys."""

import json
import logging

import pytest
from click.testing import CliRunner
from training_toys import RegressorConfig, in_memory, make_experiment, toy_registry

from allophone.cli.train import command
from allophone.config import unstructure, write_toml
from allophone.errors import PluginError, UserError
from allophone.run_folder import checkpoints, find_checkpoint


@pytest.fixture(scope="module")
def registry():
    return toy_registry()


@pytest.fixture
def train(tmp_path, registry, make_default, monkeypatch):
    """train(*arguments) is what the command prints; what it raises is raised."""
    make_default(registry)
    monkeypatch.chdir(tmp_path)
    write_toml("toy.toml", unstructure(make_experiment(max_steps=3), registry=registry))

    def run(*arguments):
        with in_memory():
            done = CliRunner().invoke(
                command, [*arguments, "--devices", "cpu"], catch_exceptions=False
            )
        assert done.exit_code == 0, done.output
        return done.output

    return run


def test_a_run_is_trained_and_resumed(train, tmp_path):
    said = train("toy.toml", "--run", "run")
    assert "Step 3: loss" in said
    assert "Finished at step 3 (max_steps): run" in said
    assert "gradient_norm" not in said
    said = train("--run", "run", "--resume", "--max-steps", "5", "--set", "trainer.dropout=0.1")
    assert "Resuming from run/checkpoints/step-00000003." in said
    assert "Changed: runtime.max_steps = 5 (was 3)" in said
    assert "Changed: trainer.dropout = 0.1 (was 0.0)" in said
    assert [found.step for found in checkpoints(tmp_path / "run")] == [3, 5]
    assert "run is already at step 5." in train("--run", "run", "--resume")


def test_logging_is_restored(train):
    before = list(logging.getLogger("allophone").handlers)
    train("toy.toml", "--run", "run", "--set", "data.splits.valid=0")
    assert logging.getLogger("allophone").handlers == before


def test_a_run_can_branch_from_a_checkpoint(train, tmp_path):
    train("toy.toml", "--run", "run", "--set", "runtime.checkpoint_every=2")
    middle = checkpoints(tmp_path / "run")[0].path
    with pytest.raises(UserError, match="checkpoints up to step 3"):
        train("--run", "run", "--resume", str(middle))
    train("--run", "branch", "--resume", str(middle))
    assert find_checkpoint(tmp_path / "branch").step == 3


def test_fine_tuning_prints_its_report(train):
    train("toy.toml", "--run", "run")
    said = train("toy.toml", "--run", "tuned", "--finetune", "run")
    assert "5 tensors taken, 0 grown, 0 skipped, 0 new" in said
    assert "model.body (4), model.symbols (1)" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "No recipe was given"),
        (("toy.toml", "--resume"), "cannot be used with --resume"),
        (("--resume", "--finetune", "x"), "cannot be used together"),
        (("--resume",), "no checkpoint in run"),
        (("--resume", "elsewhere"), "no checkpoint in elsewhere"),
        (("toy.toml", "--set", "trainer.lerning_rate=1"), "learning_rate"),
        (("toy.toml", "--finetune", "nowhere"), "no voice 'nowhere'"),
    ],
)
def test_contradicting_arguments_are_refused(train, arguments, message):
    with pytest.raises(UserError) as caught:
        train(*arguments, "--run", "run")
    assert message in str(caught.value)


def test_checkpoints_are_not_overwritten(train):
    train("toy.toml", "--run", "run")
    with pytest.raises(UserError, match="already contains a run"):
        train("toy.toml", "--run", "run")


def test_a_loss_that_is_not_finite_is_reported_with_a_hint(train, registry):
    broken = make_experiment(RegressorConfig(fails_at=1), max_steps=3)
    write_toml("broken.toml", unstructure(broken, registry=registry))
    with pytest.raises(UserError, match="became nan at step 1") as caught:
        train("broken.toml", "--run", "run")
    assert "learning rate" in caught.value.hint


def test_a_missing_plugin_of_a_checkpoint_is_reported(train, tmp_path):
    train("toy.toml", "--run", "run")
    path = find_checkpoint(tmp_path / "run").path / "provenance.json"
    provenance = json.loads(path.read_text())
    provenance["trainer"] = {"type": "stranger", "distribution": "allophone-strange"}
    path.write_text(json.dumps(provenance))
    with pytest.raises(PluginError, match="no trainer 'stranger'") as caught:
        train("--run", "run", "--resume")
    assert "pip install allophone-strange" in caught.value.hint
