"""The teacher's speech: what a voice makes of texts, with the latents that its decoder was given.

    speech.jsonl         one line per utterance: id, audio, text, speaker; a table for `[[data.corpora]]`
    audio/<id>.wav       16 bits, at the voice's sample rate
    latents/<id>.npy     [F, C] float16, F frames of `hop_length` samples

An id is made of the voice, the text, the speaker and the seed, so what is there need not be said again.
C latent channels, F frames.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from attrs import frozen

from allophone.audio.files import write_audio
from allophone.data.digests import digest_of
from allophone.errors import UserError
from allophone.files.atomic import atomic_write
from allophone.inference.folder import StoredVoice, build_synthesizer
from allophone.inference.protocol import TextBatch
from allophone.processes.progress import Track, untracked
from allophone.registry import Registry
from allophone.synthesis.requests import Request
from allophone.text.frontend import build_frontend
from allophone_vits.synthesis import VitsSynthesizer

TABLE = "speech.jsonl"
AUDIO = "audio"
LATENTS = "latents"


@frozen(kw_only=True)
class Spoken:
    """What the teacher said: utterances in the table, seconds of speech, and texts it cannot read."""

    utterances: int
    seconds: float
    skipped: tuple[str, ...]


def say_texts(
    voice: StoredVoice,
    requests: Sequence[Request],
    folder: Path,
    *,
    registry: Registry,
    seed: int = 0,
    track: Track = untracked,
) -> Spoken:
    """Let a voice say texts into `folder`; what is there already is kept.

    Text i has the seed `seed + i`, and the voice's own controls. Raises UserError if it can read none of them.
    """
    synthesizer = build_synthesizer(voice, torch.device("cpu"), registry)
    assert isinstance(synthesizer, VitsSynthesizer)
    controls = synthesizer.controls(**voice.description.controls)
    audio = voice.description.audio
    named = digest_of(sorted((name, list(w.shape)) for name, w in voice.weights.items()))
    rows: list[dict[str, str]] = []
    skipped: list[str] = []
    frames = 0
    for index, request in track(
        list(enumerate(requests)), total=len(requests), description="The teacher speaks"
    ):
        try:
            text = _encoded(voice, request, seed + index, registry)
        except UserError as error:
            skipped.append(f"{request.id}: {error.message}")
            continue
        key = [named, voice.description.about.name, request.text, request.speaker, seed + index]
        id = digest_of(key, size=8)
        recording, latents = folder / AUDIO / f"{id}.wav", folder / LATENTS / f"{id}.npy"
        if not (recording.exists() and latents.exists()):
            with torch.inference_mode():
                spoken = synthesizer.synthesize_with_latents(text, controls)
            recording.parent.mkdir(parents=True, exist_ok=True)
            latents.parent.mkdir(parents=True, exist_ok=True)
            _write_array(latents, spoken.latents.T.numpy().astype(np.float16))
            write_audio(recording, spoken.waveform.numpy(), audio.sample_rate)
        frames += np.load(latents, mmap_mode="r").shape[0]
        row = {"id": id, "audio": f"{AUDIO}/{id}.wav", "text": request.text}
        rows.append(row | ({"speaker": request.speaker} if request.speaker else {}))
    if not rows:
        raise UserError(
            f"The voice '{voice.description.about.name}' can read none of the {len(requests)} texts. "
            f"The first: {skipped[0]}",
            hint="Give texts in the language of the voice: --texts FILE, one text a line.",
        )
    with atomic_write(folder / TABLE) as file:
        file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
    return Spoken(utterances=len(rows), seconds=audio.seconds(frames), skipped=tuple(skipped))


def _encoded(voice: StoredVoice, request: Request, seed: int, registry: Registry) -> TextBatch:
    """The text as a batch of one."""
    vocabulary = voice.vocabulary
    frontend = build_frontend(voice.description.text, request.language, registry)
    ids = vocabulary.symbols.encode(frontend.symbols(request.text))
    return TextBatch(
        ids=torch.tensor([ids]),
        lengths=torch.tensor([len(ids)]),
        speakers=torch.tensor([vocabulary.speaker_id(request.speaker)]),
        languages=torch.tensor([0]),
        seeds=(seed,),
    )


def _write_array(path: Path, array: np.ndarray) -> None:
    content = io.BytesIO()
    np.save(content, array)
    with atomic_write(path) as file:
        file.write(content.getbuffer())
