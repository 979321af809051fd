"""Hi-Fi TTS (Bakhturina et al. 2021): ten readers of audio books, 44.1 kHz, in manifests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from allophone.corpora.reading import corpus_root, identifier, read_lines, require_some
from allophone.data.manifest import Split, Utterance
from allophone.errors import UserError
from allophone.files.parsing import parse_json
from allophone_corpora.config import HiFiTTSConfig

_NAME = re.compile(r"(?P<speaker>[^_]+)_manifest_(?P<part>clean|other)_(?P<split>train|dev|test)")
_SPLITS: dict[str, Split] = {"train": "train", "dev": "valid", "test": "test"}
_TEXTS = {"normalized": "text_normalized", "original": "text_no_preprocessing"}


def read(config: HiFiTTSConfig) -> Iterator[Utterance]:
    """One utterance per line of the manifests, whose file names contain speaker and split."""
    root = corpus_root(config, "audio")
    paths = sorted(root.glob("*_manifest_*.json"))
    manifests = [(path, named) for path in paths if (named := _NAME.fullmatch(path.stem))]
    manifests = [(path, named) for path, named in manifests if named["part"] in config.parts]
    require_some(manifests, root, "a manifest such as 92_manifest_clean_train.json")
    for path, named in manifests:
        for where, line in read_lines(path):
            entry = _entry(where, line, _TEXTS[config.text])
            recording = Path(entry["audio_filepath"])
            yield Utterance(
                id=identifier(named["speaker"], recording.parent.name, recording.stem),
                audio=str(root / recording),
                text=entry[_TEXTS[config.text]],
                speaker=named["speaker"],
                language=config.language,
                split=_SPLITS[named["split"]],
            )


def _entry(where: str, line: str, text: str) -> Mapping[str, Any]:
    entry = parse_json(line, where)
    if not isinstance(entry, dict) or not {"audio_filepath", text} <= set(entry):
        raise UserError(f"{where} must be an object with audio_filepath and {text}: {line[:60]}")
    return entry
