"""Making what `prepared` loads: graphs that are cut and optimised, without their weights."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from attrs import asdict
from numpy.typing import NDArray

from allophone.atomic import atomic_folder
from allophone.errors import UserError
from allophone_onnx.cutting import CannotCutError, cut
from allophone_onnx.prepared import state_of
from allophone_onnx.schema import EXTERNAL, FLOAT, INT64, Model
from allophone_onnx.session import Graph, session_options
from allophone_onnx.settings import DECODER, ENCODER, FLOW, INDEX, WHOLE
from allophone_onnx.text_encoder import rewrite

_LEAST = 1024
"""Bytes; smaller weights stay in the graph."""

_TRIAL_IDS = 64
_TOLERANCES = (1e-3, 1e-3, 1.0)
"""Of mean, logarithm of scale and duration, when a rewritten encoder is compared: rounding may move a duration
over a whole frame."""

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def prepared(files: Sequence[Path], folder: Path) -> Iterator[Path]:
    """Prepare a voice's files and keep the result in `folder`; yields a folder that holds it.

    Raises UserError for files that are damaged or hold no ONNX graph.
    """
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary)
        _prepare(files, made)
        try:
            _discard_stale(folder.parent)
            with atomic_folder(folder) as kept:
                shutil.copytree(made, kept, dirs_exist_ok=True)
        except (UserError, OSError) as error:
            # Another process was quicker, or nothing can be written there: the voice speaks all the same.
            _log.info("Nothing is kept in %s: %s", folder, error)
        yield made


def _discard_stale(cache: Path) -> None:
    """Remove what is kept of files that are gone or have changed since."""
    for index in cache.glob(f"*/{INDEX}"):
        of = json.loads(index.read_text(encoding="utf-8")).get("files", [["", 0, 0]])
        if not all(Path(path).is_file() and state_of(Path(path)) == state for path, *state in of):
            shutil.rmtree(index.parent)


def _prepare(files: Sequence[Path], folder: Path) -> None:
    """Fill a folder with what is kept of some files."""
    contents = [file.read_bytes() for file in files]
    models: dict[str, Any] = {}
    parts, hop_length = None, None
    for file, content in zip(files, contents, strict=True):
        try:
            models[file.name] = Model.FromString(content)
        except Exception as error:
            raise UserError(
                f"{file} is not an ONNX file, or is truncated or corrupt: {error}",
                hint="It was probably copied or downloaded in part; fetch it again.",
            ) from error
    if len(files) == 1:
        (model,) = models.values()
        models = {WHOLE: model}
        with contextlib.suppress(CannotCutError):
            voice = cut(model)
            parts, hop_length = voice.settings, voice.hop_length
            models = {
                ENCODER: _light(voice.encoder, called=files[0]),
                FLOW: voice.flow,
                DECODER: voice.decoder,
            }
    weights = _Weights(contents)
    index: dict[str, Any] = {
        "files": [[str(file.resolve()), *state_of(file)] for file in files],
        "graphs": {
            name: _keep(folder / name, model, weights, called=files[0])
            for name, model in models.items()
        },
        "parts": None if parts is None else asdict(parts),
        "hop_length": hop_length,
    }
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


def _light(encoder: Any, *, called: Path) -> Any:
    """A cut voice's encoder in fewer operators, or as it is where that does not compute the same."""
    try:
        rewritten = rewrite(encoder)
        expected, found = (_try(model, called=called) for model in (encoder, rewritten))
    # Of rewriting, and of onnxruntime, whose exceptions have no common base.
    except Exception as error:
        _log.info("The text encoder of %s is not rewritten: %s", called, error)
        return encoder
    differences = [float(np.abs(a - b).max()) for a, b in zip(expected, found, strict=True)]
    if not all(np.array(differences) <= _TOLERANCES):
        _log.info("The text encoder of %s is not rewritten: it differs by %s", called, differences)
        return encoder
    return rewritten


def _try(encoder: Any, *, called: Path) -> list[NDArray[Any]]:
    """What an encoder makes of some ids, in the order of its outputs."""
    graph = Graph(
        encoder.SerializeToString(),
        session_options(),
        providers=["CPUExecutionProvider"],
        needs=(),
        called=called,
    )
    noise = np.random.default_rng(0).standard_normal((1, 2, _TRIAL_IDS))
    return graph(
        {
            "input": np.arange(_TRIAL_IDS)[None],
            "input_lengths": np.array([_TRIAL_IDS]),
            "scales": np.ones(3, dtype=np.float32),
            "sid": np.array([0]),
            "duration_noise": noise.astype(np.float32),
        }
    )


def _keep(path: Path, model: Any, weights: _Weights, *, called: Path) -> list[list[Any]]:
    """Optimise a graph and write it without its weights: where these lie in the voice's files."""
    kinds = {FLOAT: "<f4", INT64: "<i8"}
    options = session_options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    Graph(
        model.SerializeToString(),
        options,
        providers=["CPUExecutionProvider"],
        needs=(),
        called=called,
    )
    optimised = Model.FromString(path.read_bytes())
    placed = []
    for tensor in optimised.graph.initializer:
        if len(tensor.raw_data) < _LEAST or tensor.data_type not in kinds:
            continue
        found = weights.find(tensor.raw_data)
        if found is None:
            continue
        file, start = found
        size = len(tensor.raw_data)
        placed.append([tensor.name, file, start, size, kinds[tensor.data_type], list(tensor.dims)])
        tensor.ClearField("raw_data")
        tensor.data_location = EXTERNAL
        for key, told in (("location", str(file)), ("offset", str(start)), ("length", str(size))):
            tensor.external_data.add(key=key, value=told)
    path.write_bytes(optimised.SerializeToString())
    return placed


class _Weights:
    """Where the weights lie in a voice's files."""

    def __init__(self, contents: Sequence[bytes]) -> None:
        self._contents = contents

    @functools.cached_property
    def _starts(self) -> dict[bytes, tuple[int, int]]:
        """File and offset of the data of each tensor, by its digest."""
        found: dict[bytes, tuple[int, int]] = {}
        for file, content in enumerate(self._contents):
            position = 0
            for tensor in Model.FromString(content).graph.initializer:
                data = tensor.raw_data
                if len(data) < _LEAST:
                    continue
                # They are written in order, so each is found at once.
                start = content.find(data, position)
                if start < 0:
                    start = content.find(data)
                found[_digest(data)] = file, start
                position = start + len(data)
        return found

    def find(self, data: bytes) -> tuple[int, int] | None:
        """File and offset of some tensor's data; None where it is in none of the files."""
        return self._starts.get(_digest(data))


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
