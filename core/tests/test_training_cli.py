"""`allophone train`, in this process, with toys."""

import json
import logging
import socket

import pytest
from click.testing import CliRunner
from training_toys import RegressorConfig, in_memory, make_experiment, toy_registry

from allophone.cli.train import command
from allophone.config import unstructure, write_toml
from allophone.errors import PluginError, UserError
from allophone.files.run_folder import checkpoints, find_checkpoint, is_run


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


def test_overwriting_sets_later_checkpoints_aside(train, tmp_path):
    train("toy.toml", "--run", "run", "--set", "runtime.checkpoint_every=1")
    whole = (tmp_path / "run" / "metrics.jsonl").read_text()
    first, *later = checkpoints(tmp_path / "run")
    with pytest.raises(UserError) as refused:
        train("--run", "run", "--resume", str(first.path))
    assert "--overwrite" in refused.value.hint
    said = train("--run", "run", "--resume", str(first.path), "--overwrite", "--max-steps", "2")
    assert "The checkpoints of steps 2 to 3 were set aside: run/set-aside/" in said
    assert [found.step for found in checkpoints(tmp_path / "run")] == [1, 2]
    (aside,) = (tmp_path / "run" / "set-aside").iterdir()
    assert is_run(aside)
    assert [found.step for found in checkpoints(aside)] == [found.step for found in later]
    assert (aside / "metrics.jsonl").read_text() == whole
    # Bit for bit what it was: the same steps were taken again.
    again = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert losses(again) == losses(whole.splitlines())[:2]
    assert "is already at step 3" in train("--run", str(aside), "--resume")


def losses(lines):
    return [json.loads(line)["metrics"]["loss"] for line in lines]


def test_overwriting_begins_a_run_anew(train, tmp_path):
    train("toy.toml", "--run", "run")
    train("toy.toml", "--run", "run", "--overwrite", "--set", "runtime.seed=1")
    assert [found.step for found in checkpoints(tmp_path / "run")] == [3]
    (aside,) = (tmp_path / "run" / "set-aside").iterdir()
    assert [found.step for found in checkpoints(aside)] == [3]
    assert "seed = 0" in (aside / "config.toml").read_text()


def test_overwriting_where_nothing_is_later_changes_nothing(train, tmp_path):
    train("toy.toml", "--run", "run")
    train("--run", "run", "--resume", "--overwrite", "--max-steps", "4")
    assert not (tmp_path / "run" / "set-aside").exists()
    assert [found.step for found in checkpoints(tmp_path / "run")] == [3, 4]


def test_a_restarted_process_goes_on_from_what_is_there(train, tmp_path, monkeypatch):
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    train("toy.toml", "--run", "run", "--set", "runtime.checkpoint_every=2")
    said = train("toy.toml", "--run", "run", "--set", "runtime.max_steps=5")
    assert "Resuming from run/checkpoints/step-00000003." in said
    assert find_checkpoint(tmp_path / "run").step == 5


def free_port():
    with socket.socket() as listening:
        listening.bind(("localhost", 0))
        return listening.getsockname()[1]


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
