"""M4Singer (Zhang et al. 2022): twenty singers of four voice types, `meta.json` and one folder per song."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from allophone.corpora.reading import corpus_root, folders, identifier, read_text, stems
from allophone.data.manifest import Utterance
from allophone.errors import UserError
from allophone.files.parsing import parse_json
from allophone_corpora.config import M4SingerConfig
from allophone_corpora.songs import set_apart


def read(config: M4SingerConfig) -> Iterator[Utterance]:
    """One utterance per entry of `meta.json`; recordings that it does not list have no text."""
    return set_apart(_utterances(config), config)


def _utterances(config: M4SingerConfig) -> Iterator[Utterance]:
    root = corpus_root(config, "meta.json")
    recordings = {
        _key(f"{folder.name}#{name}"): folder / f"{name}.wav"
        for folder in folders(root)
        for name in stems(folder, ".wav")
        if folder.name.count("#") == 1
    }
    entries = _entries(root / "meta.json")
    named = {_key(item) for item, _ in entries}
    unnamed = [(key, "") for key in sorted(recordings) if key not in named]
    for item, text in [*entries, *unnamed]:
        singer, song, number = item.split("#")
        expected = root / f"{singer}#{song}" / f"{number}.wav"
        yield Utterance(
            id=identifier(item),
            audio=str(recordings.get(_key(item), expected)),
            text=text,
            speaker=singer,
            language=config.language,
            group=f"{singer}#{song}",
        )


def _key(item: str) -> str:
    """Normalize names, since folders may have hyphens instead of spaces."""
    return item.replace(" ", "-")


def _entries(path: Path) -> list[tuple[str, str]]:
    """The names "singer#song#number" and the texts of `meta.json`."""
    items = parse_json(read_text(path), str(path))
    if not isinstance(items, list) or not items:
        raise UserError(f"{path} must be a JSON list of utterances.")
    entries = []
    for number, item in enumerate(items):
        name = item.get("item_name") if isinstance(item, dict) else None
        if not isinstance(name, str) or name.count("#") != 2 or "txt" not in item:
            raise UserError(
                f"{path}: entry {number} must have txt and an item_name of the form "
                f"singer#song#number: {str(item)[:60]}"
            )
        entries.append((name, str(item["txt"])))
    return entries
