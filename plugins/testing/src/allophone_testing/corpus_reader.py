"""What `allophone prepare` expects of a corpus reader: its contract.

from allophone_testing import CorpusContract

class TestLibrary(CorpusContract):
    corpus = "library"
    utterances = {"anna_001": "Good morning.", "ben_001": "Good night."}
    listings = ("index.csv",)
    recording = "anna/001.wav"

    @classmethod
    def write_tree(cls, root):
        ...
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from attrs import fields_dict

from allophone.audio.files import read_audio
from allophone.config import Experiment, structure
from allophone.config.corpora import named_corpora
from allophone.data.manifest import BadRow, Utterance, read_manifest
from allophone.errors import PluginError, UserError
from allophone.preparation.corpora import read_corpus
from allophone.preparation.prepare import CorpusCount, prepare
from allophone.registry import Registry
from allophone_testing.contract import Contract

_NOT_UTF8 = b"\xff\xfe\xfa"


class CorpusContract(Contract):
    """A reader yields the same utterances on every machine, and says what is wrong with a bad folder.

    corpus: its name, `type` in `[[data.corpora]]`.
    options: what its table has besides type and root.
    utterances: what must be read from the tree: the text of each utterance ("" without one) by its id.
    required: files and folders that the reader cannot do without.
    listings: files with a line or an entry an utterance.
    broken_line: what no line of a listing can be.
    recording: one recording of the tree, which has others.
    lists_missing: whether a recording that is missing is still listed, since a file beside it or a
        listing names it; False where only the recording itself says that it exists.
    """

    corpus: str
    options: Mapping[str, Any] = {}
    utterances: Mapping[str, str]
    required: tuple[str, ...] = ()
    listings: tuple[str, ...] = ()
    broken_line: str = "]broken{"
    recording: str
    lists_missing: bool = True

    @classmethod
    def write_tree(cls, root: Path) -> None:
        """Write a small corpus of the true layout into an empty folder, recordings included."""
        raise NotImplementedError(f"{cls.__name__} must write a small corpus: override write_tree.")

    @pytest.fixture
    def tree(self, tmp_path: Path) -> Path:
        """The root of a small corpus, for one test to damage."""
        root = tmp_path / "corpus"
        root.mkdir()
        self.write_tree(root)
        return root

    def test_it_yields_the_utterances(self, registry: Registry, tree: Path) -> None:
        found = self.read(registry, tree)
        same = [id for id, count in Counter(u.id for u in found).items() if count > 1]
        assert not same, f"Several utterances have the id '{same[0]}': ids must be unique."
        texts = {utterance.id: utterance.text for utterance in found}
        missing, further = (
            self.utterances.keys() - texts.keys(),
            texts.keys() - self.utterances.keys(),
        )
        assert not missing, f"The reader leaves out {sorted(missing)}; it yields {sorted(texts)}."
        assert not further, (
            f"The reader yields {sorted(further)}, which `utterances` does not name."
        )
        for id, text in self.utterances.items():
            assert texts[id] == text, f"The text of '{id}' is {texts[id]!r}; expected {text!r}."

    def test_its_recordings_can_be_decoded(self, registry: Registry, tree: Path) -> None:
        for utterance in self.read(registry, tree):
            try:
                read_audio(utterance.audio, start=utterance.start, end=utterance.end)
            except UserError as error:
                pytest.fail(
                    f"The recording of '{utterance.id}' cannot be used: {error}\n"
                    "Is it the right path, are start and end seconds within it, and does write_tree "
                    "write recordings that can be decoded?"
                )

    def test_its_paths_are_absolute(
        self, registry: Registry, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tree.parent)
        monkeypatch.setenv("HOME", str(tree.parent))
        expected = self.read(registry, tree)
        for root in (tree.name, f"~/{tree.name}"):
            found = self.read(registry, root)
            for utterance in found:
                for path in filter(None, (utterance.audio, utterance.labels)):
                    assert os.path.isabs(path), (
                        f"With root = '{root}' the path {path} of '{utterance.id}' is not absolute, and "
                        "the manifest is read from other folders too: use reading.corpus_root."
                    )
            assert found == expected, f"With root = '{root}' the reader yields other utterances."

    def test_the_order_of_a_folder_does_not_matter(self, registry: Registry, tree: Path) -> None:
        with _folders_listed(reverse=False):
            expected = self.read(registry, tree)
        with _folders_listed(reverse=True):
            found = self.read(registry, tree)
        for before, after in zip(expected, found, strict=False):
            assert before == after, (
                f"Where the disk lists files the other way round, '{after.id}' stands in the place of "
                f"'{before.id}': sort what a folder holds (reading.folders and reading.stems do)."
            )
        assert len(found) == len(expected), (
            "The number of utterances depends on the order of files."
        )

    def test_no_group_is_divided_by_the_splits(self, registry: Registry, tree: Path) -> None:
        first: dict[str, Utterance] = {}
        for utterance in self.read(registry, tree):
            if utterance.group is not None:
                other = first.setdefault(utterance.group, utterance)
                assert utterance.split == other.split, (
                    f"The group '{utterance.group}' is divided: '{other.id}' has the split "
                    f"{other.split} and '{utterance.id}' {utterance.split}."
                )

    def test_it_can_be_prepared(self, registry: Registry, tree: Path) -> None:
        manifest, count = self.prepare(registry, tree)
        assert {utterance.id for utterance in manifest} == set(self.utterances)
        assert not count.missing, f"Of the whole tree, these have no recording: {count.missing}"

    def test_its_language_can_be_set(self, registry: Registry, tree: Path) -> None:
        if "language" not in fields_dict(registry.load("corpora", self.corpus, "config")):
            pytest.skip("Its table has no language.")
        for utterance in self.read(registry, tree, language="la"):
            assert utterance.language, (
                f"With language = 'la', the utterance '{utterance.id}' has none: pass on "
                "config.language."
            )

    def test_a_root_that_is_not_there_is_an_error(self, registry: Registry, tree: Path) -> None:
        message = self.refusal("The root does not exist", registry, tree / "nowhere")
        assert str(tree / "nowhere") in message, f"The error does not name the root: {message}"

    @pytest.mark.parametrize("holds", ["nothing", "something-else"])
    def test_a_folder_of_something_else_is_an_error(
        self, registry: Registry, tmp_path: Path, holds: str
    ) -> None:
        root = tmp_path / "wrong"
        root.mkdir()
        if holds != "nothing":
            (root / holds).mkdir()
        message = self.refusal(f"The root holds {holds}", registry, root)
        assert str(root) in message, f"The error does not name the folder: {message}"

    def test_what_it_requires_is_named(self, registry: Registry, tree: Path) -> None:
        if not self.required:
            pytest.skip("Set `required` to the files and folders that it cannot do without.")
        for name in self.required:
            (tree / name).rename(tree.parent / "taken")
            message = self.refusal(f"{name} is missing", registry, tree)
            assert Path(name).name in message, f"The error does not name {name}: {message}"
            (tree.parent / "taken").rename(tree / name)

    def test_a_broken_listing_is_named(self, registry: Registry, tree: Path) -> None:
        if not self.listings:
            pytest.skip("Set `listings` to the files that list utterances, where there are any.")
        for name in self.listings:
            whole = (tree / name).read_bytes()
            for what, content in (
                ("is empty", b""),
                ("is not UTF-8", _NOT_UTF8),
                (
                    "ends in a broken line",
                    b"%s\n%s\n" % (whole.rstrip(), self.broken_line.encode()),
                ),
            ):
                (tree / name).write_bytes(content)
                message = self.refusal(f"{name} {what}", registry, tree)
                assert Path(name).name in message, f"The error does not name {name}: {message}"
            (tree / name).write_bytes(whole)

    def test_a_missing_recording_stops_nothing(self, registry: Registry, tree: Path) -> None:
        path = tree / self.recording
        others = {u.id for u in self.read(registry, tree) if u.audio != str(path)}
        path.unlink()
        manifest, count = self.prepare(registry, tree)
        lost = others - {utterance.id for utterance in manifest}
        assert not lost, f"Without {self.recording} the reader leaves out {sorted(lost)} too."
        if self.lists_missing:
            assert count.missing, (
                f"Without {self.recording} its utterance is left out silently: list it all the same, so "
                "that it is reported, or set lists_missing = False where nothing else names it."
            )

    @pytest.mark.parametrize("content", [b"", b"this is not a recording"])
    def test_a_broken_recording_stops_nothing(
        self, registry: Registry, tree: Path, content: bytes
    ) -> None:
        path = tree / self.recording
        others = {u.id for u in self.read(registry, tree) if u.audio != str(path)}
        path.write_bytes(content)
        found = self.read(registry, tree)
        lost = others - {utterance.id for utterance in found}
        assert not lost, f"With {self.recording} broken the reader leaves out {sorted(lost)} too."
        assert str(path) in {utterance.audio for utterance in found}, (
            f"{self.recording} is broken and left out silently: list it all the same, so that "
            "extraction reports it."
        )

    def test_without_any_recording_it_is_an_error(self, registry: Registry, tree: Path) -> None:
        for recording in {utterance.audio for utterance in self.read(registry, tree)}:
            Path(recording).unlink()
        self.refusal("All recordings are missing", registry, tree, self._prepare)

    def read(self, registry: Registry, root: Path | str, **options: Any) -> list[Utterance]:
        """What the reader yields; the test fails where it raises anything."""
        try:
            return self._read(registry, root, **options)
        except UserError as error:
            pytest.fail(f"The tree of {type(self).__name__} cannot be read: {error}")

    def prepare(self, registry: Registry, root: Path) -> tuple[Sequence[Utterance], CorpusCount]:
        """The manifest of the corpus, and what `allophone prepare` says of it; the test fails if it
        raises anything."""
        try:
            return self._prepare(registry, root)
        except UserError as error:
            pytest.fail(f"The tree of {type(self).__name__} cannot be prepared: {error}")

    def refusal(
        self,
        what: str,
        registry: Registry,
        root: Path,
        read: Callable[[Registry, Path], object] | None = None,
    ) -> str:
        """The message of the UserError that reading raises; the test fails where it raises another or none."""
        try:
            (read or self._read)(registry, root)
        except PluginError as error:
            pytest.fail(f"{what}: raise a UserError that says so. {error.message}")
        except UserError as error:
            return str(error)
        pytest.fail(f"{what}: raise a UserError that says so. The reader raises nothing.")

    def _read(self, registry: Registry, root: Path | str, **options: Any) -> list[Utterance]:
        (corpus,) = named_corpora(self._experiment(registry, root, **options), registry)
        utterances = []
        for item in read_corpus(corpus, registry):
            if isinstance(item, BadRow):
                # Named is named: whether it stops the reader is the reader's to say.
                raise UserError(item.message)
            utterances.append(item)
        return utterances

    def _prepare(self, registry: Registry, root: Path) -> tuple[Sequence[Utterance], CorpusCount]:
        prepared = prepare(self._experiment(registry, root), registry)
        return read_manifest(prepared.manifest), prepared.corpora[self.corpus]

    def _experiment(self, registry: Registry, root: Path | str, **options: Any) -> Experiment:
        table = {"type": self.corpus, "root": str(root), **self.options, **options}
        directory = str(Path(root).absolute().parent / "data")
        splits = {"valid": 0, "test": 0, "golden_test": 0}
        data = {"directory": directory, "corpora": [table], "splits": splits}
        return structure(Experiment, {"data": data}, registry=registry)


@contextmanager
def _folders_listed(*, reverse: bool) -> Iterator[None]:
    """Have the disk list files by their names, or the other way round."""
    listdir, scandir = os.listdir, os.scandir

    def sorted_glob(glob: Any) -> Any:
        return lambda *given, **options: iter(sorted(glob(*given, **options), reverse=reverse))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "listdir", lambda *given: sorted(listdir(*given), reverse=reverse))
        patch.setattr(os, "scandir", lambda *given: _Entries(scandir(*given), reverse=reverse))
        # Some versions of Python keep os.scandir for themselves in these.
        for name in ("glob", "rglob"):
            patch.setattr(Path, name, sorted_glob(getattr(Path, name)))
        yield


class _Entries:
    """What os.scandir returns, sorted."""

    def __init__(self, entries: Any, *, reverse: bool) -> None:
        with entries:
            self._entries = iter(sorted(entries, key=lambda each: each.name, reverse=reverse))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return next(self._entries)

    def __enter__(self) -> _Entries:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass
