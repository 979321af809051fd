"""The contract of a corpus reader notices when one is broken, and says by what."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np
import pytest
import soundfile
from attrs import evolve

from allophone.corpora.config import CorpusConfig
from allophone.corpora.reading import corpus_root, folders, identifier, read_lines
from allophone.data.manifest import Utterance
from allophone.entries import CorpusEntry
from allophone.errors import UserError
from allophone.hookspecs import hookimpl
from allophone.registry import build_registry
from allophone_testing import CorpusContract

TEXTS = {"ann_1": "Good morning.", "ann_2": "Good day.", "ben_1": "Good night."}


def record(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(4000), 8000)


class TableContract(CorpusContract):
    corpus = "table"
    utterances = TEXTS
    recording = "ann/2.wav"

    @classmethod
    def write_tree(cls, root: Path) -> None:
        rows = []
        for id, text in TEXTS.items():
            name = f"{id.replace('_', '/')}.wav"
            record(root / name)
            rows.append((name, text))
        lines = "\n".join(f"{name}|{text}" for name, text in rows)
        (root / "metadata.csv").write_text(lines, encoding="utf-8")
        objects = (json.dumps({"audio": name, "text": text, "group": "all"}) for name, text in rows)
        (root / "list.jsonl").write_text("\n".join(objects), encoding="utf-8")


class TestTable(TableContract):
    required = listings = ("metadata.csv",)


class TestJsonLines(TableContract):
    options: ClassVar = {"file": "list.jsonl"}
    required = listings = ("list.jsonl",)


class LibraryConfig(CorpusConfig):
    """The table of the corpus `library`."""


def read_library(config: LibraryConfig) -> Iterator[Utterance]:
    """A folder a reader, whose recordings `index.csv` lists."""
    root = corpus_root(config, "index.csv")
    for where, line in read_lines(root / "index.csv"):
        name, bar, text = line.partition("|")
        if not bar:
            raise UserError(f"{where} is not of the form path|text: {line}")
        yield Utterance(
            id=identifier(name),
            audio=str(root / f"{name}.wav"),
            text=text,
            speaker=name.partition("/")[0],
            language=config.language,
        )


def read_folders(config: LibraryConfig) -> Iterator[Utterance]:
    """The same corpus without its list: the recordings that are there."""
    root = corpus_root(config, "index.csv")
    for folder in folders(root):
        for path in sorted(folder.glob("*.wav")):
            id = identifier(folder.name, path.stem)
            yield Utterance(
                id=id, audio=str(path), text=TEXTS.get(id, ""), language=config.language
            )


class LibraryContract(CorpusContract):
    corpus = "library"
    utterances = TEXTS
    required = listings = ("index.csv",)
    recording = "ann/2.wav"
    reader: str = "read_library"

    @pytest.fixture(scope="class")
    @classmethod
    def registry(cls):
        return registry_with(f"{__name__}:LibraryConfig", f"{__name__}:{cls.reader}")

    @classmethod
    def write_tree(cls, root: Path) -> None:
        lines = []
        for id, text in TEXTS.items():
            name = id.replace("_", "/")
            record(root / f"{name}.wav")
            lines.append(f"{name}|{text}")
        (root / "index.csv").write_text("\n".join(lines), encoding="utf-8")


class TestLibrary(LibraryContract):
    """A reader that is as it should be keeps the contract."""


class TestFolders(LibraryContract):
    """So does one that has nothing but the recordings to go by."""

    reader = "read_folders"
    listings = ()
    lists_missing = False


def registry_with(config, reader):
    """A registry with the corpus `library`."""
    entry = CorpusEntry(
        name="library",
        summary="Recordings made in libraries.",
        config=config,
        reader=reader,
    )
    module = ModuleType("inline")
    module.CONTRACT = 1
    module.allophone_corpora = hookimpl(lambda: [entry])
    return build_registry({"inline": module})


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "corpus"
    root.mkdir()
    LibraryContract.write_tree(root)
    return root


@pytest.fixture
def check(tree, monkeypatch):
    """check(reader, test, said): the contract's test fails for this reader, with such a message."""

    def run(
        reader: Callable[..., object], test: str, said: str, *further: object, root: Path = tree
    ) -> None:
        monkeypatch.setattr(sys.modules[__name__], "read_library_wrong", reader, raising=False)
        registry = registry_with(f"{__name__}:LibraryConfig", f"{__name__}:read_library_wrong")
        with pytest.raises((AssertionError, pytest.fail.Exception), match=said):
            getattr(LibraryContract(), test)(registry, root, *further)

    return run


def changed(change: Callable[[Utterance], object]) -> Callable[..., Iterator[object]]:
    """The reader of the library, whose utterances go through `change`."""
    return lambda config: map(change, read_library(config))


class TestWhatIsYielded:
    TEST = "test_it_yields_the_utterances"

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (lambda u: {"id": u.id, "audio": u.audio}, r"yielded a dict, {'id'.*expected an Utt"),
            (lambda u: (u.audio, u.text), "yielded a tuple"),
            (lambda u: None, "yielded None as number 1"),
            (lambda u: evolve(u, id="same"), "Several utterances have the id 'same'"),
            (lambda u: evolve(u, id=u.id.replace("_", "/")), "'ann/1' must be a word without"),
            (
                lambda u: evolve(u, text=u.text.lower()),
                "'ann_1' is 'good morning.'; expected 'Good",
            ),
            (lambda u: evolve(u, id=f"{u.id}x"), r"leaves out \['ann_1', 'ann_2', 'ben_1'\]"),
        ],
    )
    def test_is_something_else(self, check, change, said):
        check(changed(change), self.TEST, said)

    def test_is_nothing(self, check):
        check(lambda config: None, self.TEST, "returned None; expected an iterable")

    def test_is_too_much(self, check):
        def reader(config):
            yield from read_library(config)
            yield Utterance(id="cid_1", audio="cid/1.wav", text="")

        check(reader, self.TEST, r"yields \['cid_1'\], which `utterances` does not name")

    def test_lies_elsewhere(self, check):
        reader = changed(lambda u: evolve(u, audio=u.audio.replace("ann", "anna")))
        said = r"recording of 'ann_1' cannot be used: There is no recording .*anna/1\.wav"
        check(reader, "test_its_recordings_can_be_decoded", said)

    def test_begins_after_its_end(self, check):
        reader = changed(lambda u: evolve(u, start=7.0))
        check(reader, "test_its_recordings_can_be_decoded", "has no samples from 7 s")

    def test_is_relative(self, check, monkeypatch):
        def reader(config):
            root = Path(config.root)
            for u in read_library(config):
                yield evolve(u, audio=str(root / Path(u.audio).relative_to(root.absolute())))

        said = "With root = 'corpus' the path corpus/ann/1.wav of 'ann_1' is not absolute"
        check(reader, "test_its_paths_are_absolute", said, monkeypatch)

    def test_is_ordered_by_the_disk(self, check):
        def reader(config):
            for path in corpus_root(config).glob("*/*.wav"):
                yield Utterance(id=identifier(path.stem), audio=str(path), text="")

        check(reader, "test_the_order_of_a_folder_does_not_matter", "sort what a folder holds")

    @pytest.mark.parametrize("listed", ["listdir", "scandir", "walk", "iterdir"])
    def test_is_ordered_by_the_disk_however_it_is_read(self, check, listed):
        def reader(config):
            root = corpus_root(config) / "ann"
            names = {
                "listdir": lambda: os.listdir(root),
                "scandir": lambda: [entry.name for entry in os.scandir(root)],
                "walk": lambda: [name for _, _, files in os.walk(root) for name in files],
                "iterdir": lambda: [path.name for path in root.iterdir()],
            }[listed]()
            for name in names:
                yield Utterance(id=name, audio=str(root / name), text="")

        check(reader, "test_the_order_of_a_folder_does_not_matter", "'2.wav' stands in the place")

    def test_is_divided(self, check):
        splits = {"ann_1": "train", "ann_2": "test", "ben_1": None}
        reader = changed(lambda u: evolve(u, group=u.speaker, split=splits[u.id]))
        said = "group 'ann' is divided: 'ann_1' has the split train and 'ann_2' test"
        check(reader, "test_no_group_is_divided_by_the_splits", said)

    def test_names_some_speakers_alone(self, check):
        reader = changed(lambda u: evolve(u, speaker=None) if u.id == "ben_1" else u)
        said = "cannot be prepared: 1 of 3 utterances of the corpus 'library' have no speaker"
        check(reader, "test_it_can_be_prepared", said)

    def test_forgets_its_language(self, check):
        reader = changed(lambda u: evolve(u, language=None))
        check(reader, "test_its_language_can_be_set", "With language = 'la', the utterance 'ann_1'")


def careless(config: LibraryConfig) -> Iterator[Utterance]:
    """It opens what it expects to be there."""
    root = Path(config.root)
    first, *others = (root / "index.csv").read_text(encoding="utf-8").splitlines()
    for line in (first, *others):
        name, text = line.split("|")
        soundfile.info(root / f"{name}.wav")
        yield Utterance(id=identifier(name), audio=str(root / f"{name}.wav"), text=text)


def curt(config: LibraryConfig) -> Iterator[Utterance]:
    """It says that something is wrong, and not what."""
    try:
        yield from [*careless(config)]
    except Exception as error:
        raise UserError("The corpus is broken.") from error


def silent(config: LibraryConfig) -> Iterator[Utterance]:
    """It passes over whatever is wrong."""
    root = Path(config.root)
    index = root / "index.csv"
    for line in index.read_text("utf-8", "replace").splitlines() if index.exists() else ():
        name, bar, text = line.partition("|")
        path = root / f"{name}.wav"
        if bar and path.exists() and path.stat().st_size > 100:
            yield Utterance(id=identifier(name), audio=str(path), text=text)


class TestBadFolders:
    @pytest.mark.parametrize(
        ("test", "said"),
        [
            ("test_a_root_that_is_not_there_is_an_error", "root does not exist: raise .* FileNotF"),
            (
                "test_what_it_requires_is_named",
                "index.csv is missing: raise .* raised FileNotFound",
            ),
            ("test_a_broken_listing_is_named", "index.csv is empty: raise .* raised ValueError"),
            ("test_without_any_recording_it_is_an_error", "are missing: raise .* LibsndfileError"),
        ],
    )
    def test_an_exception_that_is_let_through(self, check, test, said):
        check(careless, test, said)

    @pytest.mark.parametrize(
        ("test", "said"),
        [
            ("test_a_root_that_is_not_there_is_an_error", "does not name the root: The corpus is"),
            ("test_what_it_requires_is_named", "does not name index.csv: The corpus is broken"),
            ("test_a_broken_listing_is_named", "does not name index.csv: The corpus is broken"),
        ],
    )
    def test_an_error_that_does_not_say_where(self, check, test, said):
        check(curt, test, said)

    @pytest.mark.parametrize(
        ("test", "said", "further"),
        [
            ("test_a_root_that_is_not_there_is_an_error", "root does not exist: raise", ()),
            ("test_a_broken_listing_is_named", "index.csv is empty: .* raises nothing", ()),
            ("test_a_missing_recording_stops_nothing", "utterance is left out silently", ()),
            ("test_a_broken_recording_stops_nothing", "is broken and left out silently", (b"",)),
        ],
    )
    def test_what_is_passed_over(self, check, test, said, further):
        check(silent, test, said, *further)

    @pytest.mark.parametrize("holds", ["nothing", "something-else"])
    def test_another_folder_that_is_passed_over(self, check, tree, holds):
        said = f"The root holds {holds}: raise a UserError that says so"
        check(silent, "test_a_folder_of_something_else_is_an_error", said, holds, root=tree.parent)

    def test_a_recording_that_takes_others_with_it(self, check):
        def reader(config):
            everything = [*read_library(config)]
            if all(Path(u.audio).exists() for u in everything):
                yield from everything
            else:
                yield from (u for u in everything if u.speaker == "ben")

        check(reader, "test_a_missing_recording_stops_nothing", r"leaves out \['ann_1'\] too")


def test_a_contract_without_a_tree_says_what_to_write(tmp_path):
    with pytest.raises(NotImplementedError, match="override write_tree"):
        CorpusContract.write_tree(tmp_path)
