"""Resumable synthesis of many texts to WAV files, for `allophone synthesize`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from allophone.config import unstructure
from allophone.errors import UserError
from allophone.processes.executors import Executor, Task
from allophone.processes.progress import Track, untracked
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
from allophone.synthesis.loading import load
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
    executor: Executor | None = None,
    loading: Mapping[str, Any] | None = None,
    track: Track = untracked,
) -> Report:
    """Synthesize many texts, each as `voice.say` would, to WAV files in `out`.

    provenance: what else determines the result, such as a digest of the weights; stored with every file.
    executor: where batches are synthesized; by default in this process. Its processes write to `out` too.
    loading: with an executor, the arguments of `allophone.load` that load the voice.

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

        job = Job(out=out.absolute(), seed=seed, pause=pause, batch_size=batch_size, controls=ready)

        def results() -> Iterator[Success | Failure]:
            scripts, failures = _read(voice, todo, seed)
            yield from failures
            if executor is None:
                yield from _speak(voice, scripts, job)
                return
            requests = [request for request, _ in scripts]
            batches = [
                tuple(requests[first : first + batch_size])
                for first in range(0, len(requests), batch_size)
            ]
            task = Task(start=f"{__name__}:start", arguments=(dict(loading or {}), job))
            for _, done in executor.run(task, batches):
                yield from done

        return ledger.record(track(results(), total=len(todo), description="Synthesizing"))


@frozen(kw_only=True)
class Job:
    """How the texts of a job are spoken, and the folder for their files."""

    out: Path
    seed: int
    pause: float
    batch_size: int
    controls: Any


def start(
    loading: Mapping[str, Any], job: Job
) -> Callable[[Sequence[Request]], list[Success | Failure]]:
    """Return what speaks a batch of requests in a process of an executor."""
    voice = load(**loading)

    def speak(requests: Sequence[Request]) -> list[Success | Failure]:
        scripts, failures = _read(voice, requests, job.seed)
        return [*failures, *_speak(voice, scripts, job)]

    return speak


def _speak(
    voice: Voice, scripts: Sequence[tuple[Request, Script]], job: Job
) -> Iterator[Success | Failure]:
    """Speak texts in batches, and write their files."""

    def say(scripts: Sequence[tuple[Request, Script]]) -> list[Waveform]:
        return voice.synthesize(
            [script for _, script in scripts],
            pause=job.pause,
            batch_size=job.batch_size,
            controls=job.controls,
        )

    for (request, _), spoken in in_batches(scripts, job.batch_size, say):
        if isinstance(spoken, Exception):
            yield Failure(id=request.id, reason=reason(spoken))
            continue
        cut_off = {"cut_off": dict(spoken.cut_off)} if spoken.cut_off else {}
        yield save_waveform(job.out, request.id, spoken, **cut_off)


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
