"""Many texts to files, resumable: what `allophone synthesize` does.

out/
    LJ001-0001.wav ...
    made.jsonl          one object a file: what was said, by whom, how, and how long it is
    failed.jsonl        what could not be said, and why; absent when all went well
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from allophone.atomic import written_whole
from allophone.config import unstructure
from allophone.errors import UserError
from allophone.progress import Track, untracked
from allophone.synthesis.rendering import Spoken
from allophone.synthesis.requests import Request
from allophone.synthesis.script import Script
from allophone.synthesis.voice import SENTENCE_PAUSE, Voice

MADE = "made.jsonl"
FAILED = "failed.jsonl"

Row = dict[str, Any]


@frozen(kw_only=True)
class Failure:
    """A text that could not be said."""

    request: Request
    reason: str


@frozen(kw_only=True)
class Report:
    """How it went: made and skipped (made before, from the same inputs) are counts."""

    made: int
    skipped: int
    failures: tuple[Failure, ...]


def synthesize(
    voice: Voice,
    requests: Sequence[Request],
    out: Path,
    *,
    provenance: Mapping[str, str],
    seed: int = 0,
    pause: float = SENTENCE_PAUSE,
    batch_size: int = 8,
    controls: Mapping[str, Any] | None = None,
    track: Track = untracked,
) -> Report:
    """Say many texts, each as `voice.say` would, into WAV files below `out`.

    provenance: what else decides the result, such as a digest of the weights; kept with every file.
    A file is skipped when `made.jsonl` has it with the same inputs. What cannot be said is reported
    and does not stop the others.
    """
    ready = voice.controls(controls or {})
    common = {
        **provenance,
        "seed": seed,
        "pause": pause,
        "controls": unstructure(ready, registry=voice.registry),
    }
    inputs = {request.id: _inputs(request, common) for request in requests}
    made = {row["id"]: row for row in _read_rows(out / MADE)}
    current = {
        id
        for id, wanted in inputs.items()
        if id in made and wanted.items() <= made[id].items() and (out / made[id]["file"]).is_file()
    }
    kept = [row for id, row in made.items() if id in current or id not in inputs]
    _write_rows(out / MADE, kept)

    todo = [request for request in requests if request.id not in current]
    scripts, failures = _read(voice, todo)
    spoken = _perform(voice, scripts, ready, seed=seed, pause=pause, batch_size=batch_size)
    with (out / MADE).open("a", encoding="utf-8") as log:
        for request, result in track(spoken, total=len(scripts), description="Speaking"):
            if isinstance(result, Failure):
                failures.append(result)
                continue
            name = f"{request.id}.wav"
            result.waveform.save(out / name)
            row = {
                **inputs[request.id],
                "file": name,
                "seconds": round(result.waveform.seconds, 4),
                "sample_rate": result.waveform.sample_rate,
            }
            log.write(_dumped(row))
            log.flush()
    _report_failures(out / FAILED, failures)
    return Report(made=len(todo) - len(failures), skipped=len(current), failures=tuple(failures))


def suit(requests: Iterable[Request], voice: Voice) -> Iterator[Request]:
    """Requests as a voice can take them: one with a single speaker or language asks for no other."""
    for request in requests:
        yield evolve(
            request,
            speaker=request.speaker if len(voice.speakers) > 1 else None,
            language=request.language if len(voice.languages) > 1 else None,
        )


def digest(path: Path) -> str:
    """What tells the content of a file from any other."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _inputs(request: Request, common: Mapping[str, Any]) -> Row:
    return {
        "id": request.id,
        "text": request.text,
        "speaker": request.speaker,
        "language": request.language,
        **common,
    }


def _read(
    voice: Voice, requests: Sequence[Request]
) -> tuple[list[tuple[Request, Script]], list[Failure]]:
    """Read the texts, the shortest first, so that those of a batch are of like length."""
    scripts: list[tuple[Request, Script]] = []
    failures: list[Failure] = []
    for request in requests:
        try:
            script = voice.script(request.text, speaker=request.speaker, language=request.language)
        except UserError as error:
            failures.append(Failure(request=request, reason=str(error)))
        else:
            scripts.append((request, script))
    return sorted(scripts, key=lambda pair: pair[1].length), failures


def _perform(
    voice: Voice,
    scripts: Sequence[tuple[Request, Script]],
    controls: Any,
    *,
    batch_size: int,
    **how: Any,
) -> Iterator[tuple[Request, Spoken | Failure]]:
    for start in range(0, len(scripts), batch_size):
        group = scripts[start : start + batch_size]
        try:
            spoken = voice.perform(
                [script for _, script in group], controls=controls, batch_size=batch_size, **how
            )
        except Exception as error:
            if len(group) == 1:
                reason = f"{type(error).__name__}: {error}"
                yield group[0][0], Failure(request=group[0][0], reason=reason)
                continue
            # One text may have spoiled it for its neighbours: say them one by one.
            yield from _perform(voice, group, controls, batch_size=1, **how)
        else:
            yield from zip((request for request, _ in group), spoken, strict=True)


def _read_rows(path: Path) -> Iterator[Row]:
    """The rows of a log; one that a killed process left unfinished ends it."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


def _write_rows(path: Path, rows: Iterable[Row]) -> None:
    with written_whole(path) as file:
        for row in rows:
            file.write(_dumped(row).encode())


def _report_failures(path: Path, failures: Sequence[Failure]) -> None:
    if not failures:
        path.unlink(missing_ok=True)
        return
    _write_rows(
        path,
        (
            {"id": one.request.id, "text": one.request.text, "reason": one.reason}
            for one in failures
        ),
    )


def _dumped(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
