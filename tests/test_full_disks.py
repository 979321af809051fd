"""Every command that writes ends with a sentence where a disk is full or a place cannot be written."""

import resource
import signal
import sys

import pytest
from click.testing import CliRunner

from allophone import cli
from allophone_testing.corpus import write_corpus

RECIPE = "hifigan/tiny"

COMMANDS = {
    "prepare": ("prepare", RECIPE, "DATA", "--set", "data.directory=OUT"),
    "extract": ("extract", RECIPE, "DATA", "--workers", "1", "--set", "data.directory=OUT"),
    "train": ("train", RECIPE, "DATA", "--run", "OUT", "--devices", "cpu", "--max-steps", "1"),
    "say": ("say", "Hello.", "--voice", "joe", "--out", "OUT.wav"),
    "synthesize": ("synthesize", "--voice", "joe", "--list", "LIST", "--out", "OUT"),
    "vocode": ("vocode", "--vocoder", "griffin-lim", "--like", RECIPE, "--audio", "AUDIO", "--out", "OUT"),
    "import": ("import", "RUN", "OUT"),
    "export": ("export", "joe", "--out", "OUT.onnx"),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A corpus that is prepared and extracted, and a run of one step."""
    folder = tmp_path_factory.mktemp("disks")
    write_corpus(folder / "corpus", utterances=6)
    (folder / "list").write_text("a|Hello.\n")
    (folder / "file").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        said = ("say", "Hello.", "--voice", "joe", "--out")
        for name, *arguments in (
            ("prepare", RECIPE, "DATA"),
            ("extract", RECIPE, "DATA", "--workers", "1"),
            ("train", RECIPE, "DATA", "--run", "RUN", "--devices", "cpu", "--max-steps", "1"),
            # The voice is prepared for one engine and converted for the other, in the cache.
            (*said, str(folder / "light.wav")),
            (*said, str(folder / "torch.wav"), "--engine", "torch"),
        ):
            done = CliRunner().invoke(cli.allophone, [name, *filled(arguments, folder, "")])
            assert done.exit_code == 0, done.output
        yield folder


def filled(arguments, folder, out):
    data = [f"data.directory={folder / 'data'}", f"data.corpora.0.root={folder / 'corpus'}"]
    data += ["data.splits.valid=2", "runtime.samples=0"]
    for argument in arguments:
        if argument == "DATA":
            for value in data:
                yield from ("--set", value)
            continue
        for name, path in (
            ("OUT", out),
            ("LIST", folder / "list"),
            ("AUDIO", folder / "corpus"),
            ("RUN", folder / "run"),
        ):
            argument = argument.replace(name, str(path))
        yield argument


@pytest.fixture
def run(place, monkeypatch, capfd):
    """run(command, out) is what the command line says on standard error; it must end with status 2."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def refused(command, out):
        name, *arguments = COMMANDS[command]
        monkeypatch.setattr(sys, "argv", ["allophone", name, *filled(arguments, place, out)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 2
        return capfd.readouterr().err

    yield refused
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_disk(place, run, tmp_path, command):
    out = tmp_path / "out"
    if command == "extract":
        out.mkdir()
        (out / "manifest.jsonl").write_bytes((place / "data" / "manifest.jsonl").read_bytes())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Enough for the lock, which tells the command, and for nothing else.
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, limits[1]))
    try:
        said = run(command, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "Error: A file would be larger than the disk or a limit allows (ulimit -f): " in said
    assert str(out) in said
    assert "Traceback" not in said


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "extract"])
def test_a_place_that_cannot_be_written(place, run, command):
    # Not a folder without permissions: those of the superuser are not asked for.
    said = run(command, place / "file" / "out")
    assert f"Error: A file lies where a folder is needed: {place / 'file'}" in said
    assert "Traceback" not in said
