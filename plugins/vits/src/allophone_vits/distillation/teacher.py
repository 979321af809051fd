"""The teacher's speech: what a voice makes of texts, with the latents that its decoder was given.

    texts-<digest>.jsonl      one line per utterance of a list of texts: id, audio, text, speaker; a table for
                              `[[data.corpora]]`
    audio/<id>.wav            16 bits, at the voice's sample rate
    latents/<id>.npy          [F, C] float16, F frames of `hop_length` samples
    prior-samples/<id>.npy    [F, C] float16, what its flow made these latents of; for students of the flow
    encoded-text/<id>.npy     [T, H + 2 C] float16, hidden states, means and log scales of the prior; for students
                              of the text encoder

An id is made of the voice, the text, the speaker and the seed, so what is there need not be said again, and several
trainings can share a folder, whatever texts they take.
C latent channels, F frames, H hidden channels, T text.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray

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
from allophone_vits.distillation.config import ENCODED_TEXT, LATENTS, PRIOR_SAMPLES
from allophone_vits.synthesis import SpokenInParts, VitsSynthesizer

AUDIO = "audio"


@frozen(kw_only=True)
class Spoken:
    """What the teacher said: the file of the table, its utterances, seconds of speech, and texts it cannot read."""

    table: str
    utterances: int
    seconds: float
    skipped: tuple[str, ...]


def say_texts(
    voice: StoredVoice,
    requests: Sequence[Request],
    folder: Path,
    *,
    registry: Registry,
    features: Sequence[str] = (LATENTS,),
    seed: int = 0,
    track: Track = untracked,
) -> Spoken:
    """Let a voice say texts into `folder`; what is there already is kept.

    features: which of its intermediate results are kept, of "latents", "prior-samples" and "encoded-text".
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
            text = text_batch(voice, request, seed + index, registry)
        except UserError as error:
            skipped.append(f"{request.id}: {error.message}")
            continue
        key = [named, voice.description.about.name, request.text, request.speaker, seed + index]
        id = digest_of(key, size=8)
        recording = folder / AUDIO / f"{id}.wav"
        arrays = {name: folder / name / f"{id}.npy" for name in features}
        if not all(path.exists() for path in (recording, *arrays.values())):
            with torch.inference_mode():
                spoken = synthesizer.synthesize_in_parts(text, controls)
                for name, path in arrays.items():
                    array = _array(name, spoken, synthesizer, text)
                    _write_array(path, array.T.numpy().astype(np.float16))
            recording.parent.mkdir(parents=True, exist_ok=True)
            write_audio(recording, spoken.waveform.numpy(), audio.sample_rate)
        frames += np.load(arrays[LATENTS], mmap_mode="r").shape[0]
        row = {"id": id, "audio": f"{AUDIO}/{id}.wav", "text": request.text}
        rows.append(row | ({"speaker": request.speaker} if request.speaker else {}))
    if not rows:
        raise UserError(
            f"The voice '{voice.description.about.name}' can read none of the {len(requests)} texts. "
            f"The first: {skipped[0]}",
            hint="Give texts in the language of the voice: --texts FILE, one text a line.",
        )
    table = f"texts-{digest_of([row['id'] for row in rows], size=8)}.jsonl"
    with atomic_write(folder / table) as file:
        file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
    return Spoken(
        table=table,
        utterances=len(rows),
        seconds=audio.seconds(frames),
        skipped=tuple(skipped),
    )


def text_batch(voice: StoredVoice, request: Request, seed: int, registry: Registry) -> TextBatch:
    """A text as a batch of one; UserError if the voice cannot read it."""
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


def _array(
    name: str, spoken: SpokenInParts, synthesizer: VitsSynthesizer, text: TextBatch
) -> torch.Tensor:
    """One of the features, [C, F] or [H + 2 C, T]."""
    if name == LATENTS:
        return spoken.latents
    if name == PRIOR_SAMPLES:
        return spoken.prior_samples
    assert name == ENCODED_TEXT
    encoded = synthesizer.encode(text)
    return torch.cat([encoded.hidden, encoded.prior.mean, encoded.prior.log_scale], dim=1)[0]


def _write_array(path: Path, array: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    np.save(content, array)
    with atomic_write(path) as file:
        file.write(content.getbuffer())
