"""Resumable synthesis of many texts to WAV files, for `allophone synthesize`."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve

from allophone.config import unstructure
from allophone.errors import UserError
from allophone.progress import Track, untracked
from allophone.synthesis.ledger import (
    Failure,
    Report,
    Success,
    digest,
    in_batches,
    open_ledger,
    reason,
    save_waveform,
)
from allophone.synthesis.requests import Request
from allophone.synthesis.script import Script
from allophone.synthesis.voice import SENTENCE_PAUSE, Voice
from allophone.synthesis.waveform import Waveform


def synthesize(
    voice: Voice,
    requests: Sequence[Request],
    out: Path,
    *,
    provenance: Mapping[str, str | None],
    seed: int = 0,
    pause: float = SENTENCE_PAUSE,
    batch_size: int = 8,
    controls: Mapping[str, Any] | None = None,
    track: Track = untracked,
) -> Report:
    """Synthesize many texts, each as `voice.say` would, to WAV files in `out`.

    provenance: what else determines the result, such as a digest of the weights; stored with every file.

    Files that `made.jsonl` lists with the same inputs are skipped. Texts that fail are reported and do not
    stop the others.
    """
    ready = voice.controls(controls or {})
    common = {
        **provenance,
        "seed": seed,
        "pause": pause,
        "controls": unstructure(ready, registry=voice.registry),
    }
    inputs = {request.id: {**_inputs(request), **common} for request in requests}
    with open_ledger(out, inputs) as ledger:
        by_id = {request.id: request for request in requests}
        todo = [by_id[id] for id in ledger.todo]

        def say(scripts: Sequence[tuple[Request, Script]]) -> list[Waveform]:
            return voice.synthesize(
                [script for _, script in scripts],
                pause=pause,
                batch_size=batch_size,
                controls=ready,
            )

        def results() -> Iterator[Success | Failure]:
            scripts, failures = _read(voice, todo, seed)
            yield from failures
            for (request, _), spoken in in_batches(scripts, batch_size, say):
                if isinstance(spoken, Exception):
                    yield Failure(id=request.id, reason=reason(spoken))
                    continue
                cut_off = {"cut_off": dict(spoken.cut_off)} if spoken.cut_off else {}
                yield save_waveform(out, request.id, spoken, **cut_off)

        return ledger.record(track(results(), total=len(todo), description="Synthesizing"))


def adapt_requests(requests: Iterable[Request], voice: Voice) -> Iterator[Request]:
    """Remove the speaker or language of requests if the voice has only one."""
    for request in requests:
        yield evolve(
            request,
            speaker=request.speaker if len(voice.speakers) > 1 else None,
            language=request.language if len(voice.languages) > 1 else None,
        )


def _inputs(request: Request) -> dict[str, Any]:
    inputs = {"text": request.text, "speaker": request.speaker, "language": request.language}
    if request.prompt_audio is None:
        return inputs
    audio = Path(request.prompt_audio)
    prompt = digest(audio) if audio.is_file() else None
    return {**inputs, "prompt_text": request.prompt_text, "prompt_audio": prompt}


def _read(
    voice: Voice, requests: Sequence[Request], seed: int
) -> tuple[list[tuple[Request, Script]], list[Failure]]:
    """Read the texts and sort them by length, so that batches need little padding."""
    scripts: list[tuple[Request, Script]] = []
    failures: list[Failure] = []
    prompt = functools.cache(voice.prompt)
    for request in requests:
        try:
            script = voice.script(
                request.text,
                speaker=request.speaker,
                language=request.language,
                prompt=prompt(
                    request.prompt_audio, text=request.prompt_text, language=request.language
                )
                if request.prompt_audio
                else None,
                seed=seed,
            )
        except UserError as error:
            failures.append(Failure(id=request.id, reason=reason(error)))
        else:
            scripts.append((request, script))
    return sorted(scripts, key=lambda pair: sum(len(one.ids) for one in pair[1])), failures
