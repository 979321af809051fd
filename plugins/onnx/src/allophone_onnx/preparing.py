"""Preparing graphs for `prepared`: splitting and optimising them, and removing their weights."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from attrs import asdict
from numpy.typing import NDArray

from allophone.errors import UserError
from allophone.files.atomic import atomic_folder
from allophone.files.parsing import read_json_object
from allophone_onnx.compression import restore
from allophone_onnx.cutting import CannotCutError, cut
from allophone_onnx.prepared import NEW_WEIGHTS, state_of
from allophone_onnx.rewriting import flow, text_encoder
from allophone_onnx.rewriting.convolutions import over_images
from allophone_onnx.schema import EXTERNAL, FLOAT, INT64, Model
from allophone_onnx.session import Feed, Graph, session_options
from allophone_onnx.settings import DECODER, ENCODER, FLOW, INDEX, WHOLE

_MIN_BYTES = 1024
"""Smaller weights stay in the graph."""

_TRIAL_SIZE = 64
"""Ids or frames of the input with which a rewritten graph is compared."""

_ENCODER_TOLERANCES = (1e-3, 1e-3, 1.0)
"""Of mean, log scale and duration. Rounding may change a duration by a whole frame."""
_FLOW_TOLERANCES = (1e-3,)
"""Of latents, whose standard deviation is about 1."""

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def prepared(files: Sequence[Path], folder: Path) -> Iterator[Path]:
    """Prepare a voice's files and cache the result in `folder`; yields a folder with the result.

    Raises UserError for files that are corrupt or not ONNX graphs.
    """
    # Windows does not remove a file of weights that a graph uses.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary:
        made = Path(temporary)
        _prepare(files, made)
        try:
            _discard_stale(folder.parent)
            with atomic_folder(folder) as kept:
                shutil.copytree(made, kept, dirs_exist_ok=True)
        except (UserError, OSError) as error:
            # Another process was faster, or the cache is not writable: the voice works without it.
            _log.info("Nothing is cached in %s: %s", folder, error)
            yield made
        else:
            yield folder


def _discard_stale(cache: Path) -> None:
    """Remove cache entries of files that were removed or changed."""
    for index in cache.glob(f"*/{INDEX}"):
        if not _is_current(index):
            shutil.rmtree(index.parent)


def _is_current(index: Path) -> bool:
    """Whether the files of a cache entry are as they were; not for an index that is damaged."""
    try:
        of = read_json_object(index)["files"]
        return all(Path(path).is_file() and state_of(Path(path)) == state for path, *state in of)
    except (UserError, LookupError, TypeError, ValueError):
        return False


def _prepare(files: Sequence[Path], folder: Path) -> None:
    """Write the prepared graphs of `files` and their index to `folder`."""
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
            models = {ENCODER: voice.encoder, FLOW: voice.flow, DECODER: voice.decoder}
    models = {name: restore(model) for name, model in models.items()}
    if DECODER in models:
        models = {
            **rewritten_encoder(models[ENCODER], source=files[0]),
            FLOW: rewritten_flow(models[FLOW], source=files[0]),
            DECODER: over_images(models[DECODER]),
        }
    weights = _Weights(contents, folder / NEW_WEIGHTS)
    index: dict[str, Any] = {
        "files": [[str(file.resolve()), *state_of(file)] for file in files],
        "graphs": {
            name: _write_optimised(folder / name, model, weights, source=files[0])
            for name, model in models.items()
        },
        "parts": None if parts is None else asdict(parts),
        "hop_length": hop_length,
    }
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


def rewritten_encoder(encoder: Any, *, source: Path) -> dict[str, Any]:
    """The encoder in two graphs with less arithmetic, or unchanged if their result is not the same."""

    def feed() -> Feed:
        random = np.random.default_rng(0)
        noise = random.standard_normal((1, 2, _TRIAL_SIZE))
        ids = random.integers(0, text_encoder.vocabulary_size(encoder), (1, _TRIAL_SIZE))
        # As in a text, some are frequent.
        ids[:, ::2] = 0
        return {
            "input": ids,
            "input_lengths": np.array([_TRIAL_SIZE]),
            "scales": np.ones(3, dtype=np.float32),
            "sid": np.array([0]),
            "duration_noise": noise.astype(np.float32),
            "window": np.array([0, _TRIAL_SIZE]),
        }

    return _rewritten(
        {ENCODER: encoder},
        lambda: text_encoder.rewrite(encoder),
        feed,
        _ENCODER_TOLERANCES,
        source=source,
    )


def rewritten_flow(model: Any, *, source: Path) -> Any:
    """The flow with less arithmetic, or unchanged if the result is not the same."""

    def feed() -> Feed:
        size = 1, flow.latent_channels(model), _TRIAL_SIZE
        latents = np.random.default_rng(0).standard_normal(size)
        return {
            "latents": latents.astype(np.float32),
            "mask": np.ones((1, 1, _TRIAL_SIZE), dtype=np.float32),
            "sid": np.array([0]),
        }

    return _rewritten(
        {FLOW: model},
        lambda: {FLOW: flow.rewrite(model)},
        feed,
        _FLOW_TOLERANCES,
        source=source,
    )[FLOW]


def _rewritten(
    models: dict[str, Any],
    rewrite: Callable[[], dict[str, Any]],
    feed: Callable[[], Feed],
    tolerances: Sequence[float],
    *,
    source: Path,
) -> dict[str, Any]:
    """Graphs rewritten, or unchanged if their outputs then differ by more than the tolerances."""
    try:
        rewritten, given = rewrite(), feed()
        expected, found = (_run(one, given, source=source) for one in (models, rewritten))
    # Errors of rewriting, and of onnxruntime, whose exceptions have no common base class.
    except Exception as error:
        _log.info("A graph of %s is not rewritten: %s", source, error)
        return models
    differences = [
        float(np.abs(a.reshape(-1) - b.reshape(-1)).max())
        for a, b in zip(expected, found, strict=True)
    ]
    if not all(np.array(differences) <= tolerances):
        _log.info("A graph of %s is not rewritten: it differs by %s", source, differences)
        return models
    return rewritten


def _run(models: Mapping[str, Any], feed: Feed, *, source: Path) -> list[NDArray[Any]]:
    """The outputs of the last of several graphs, each of which gets those of the ones before."""
    outputs: list[NDArray[Any]] = []
    for model in models.values():
        graph = Graph(
            model.SerializeToString(),
            session_options(),
            providers=["CPUExecutionProvider"],
            needs=(),
            source=source,
        )
        outputs = graph(feed)
        names = (one.name for one in model.graph.output)
        feed = {**feed, **dict(zip(names, outputs, strict=True))}
    return outputs


def _write_optimised(path: Path, model: Any, weights: _Weights, *, source: Path) -> list[list[Any]]:
    """Optimise a graph and write it without its weights; returns the positions of those that are in the voice's files."""
    kinds = {FLOAT: "<f4", INT64: "<i8"}
    options = session_options()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    content = model.SerializeToString()
    try:
        Graph(content, options, providers=["CPUExecutionProvider"], needs=(), source=source)
    except UserError:
        # onnxruntime says the same of a graph that it cannot read and of a file that it cannot write, so a
        # full disk is found by writing as much.
        path.write_bytes(content)
        raise
    optimised = Model.FromString(path.read_bytes())
    placed = []
    for tensor in optimised.graph.initializer:
        if len(tensor.raw_data) < _MIN_BYTES or tensor.data_type not in kinds:
            continue
        file, start = weights.place(tensor.raw_data)
        size = len(tensor.raw_data)
        if file is not None:
            kind = kinds[tensor.data_type]
            placed.append([tensor.name, file, start, size, kind, list(tensor.dims)])
        tensor.ClearField("raw_data")
        tensor.data_location = EXTERNAL
        for key, told in (("location", NEW_WEIGHTS), ("offset", str(start)), ("length", str(size))):
            tensor.external_data.add(key=key, value=told)
    path.write_bytes(optimised.SerializeToString())
    return placed


class _Weights:
    """The positions of weights: in a voice's files, or in a further file for those that it does not have."""

    def __init__(self, contents: Sequence[bytes], further: Path) -> None:
        self._contents = contents
        self._further = further
        further.touch()

    @functools.cached_property
    def _starts(self) -> dict[bytes, tuple[int | None, int]]:
        """File and offset of the data of each tensor, by its digest."""
        found: dict[bytes, tuple[int | None, int]] = {}
        for file, content in enumerate(self._contents):
            position = 0
            for tensor in Model.FromString(content).graph.initializer:
                data = tensor.raw_data
                if len(data) < _MIN_BYTES:
                    continue
                # Weights are usually stored in order, so search from the last position first.
                start = content.find(data, position)
                if start < 0:
                    start = content.find(data)
                found[_digest(data)] = file, start
                position = start + len(data)
        return found

    def place(self, data: bytes) -> tuple[int | None, int]:
        """The file and the offset of a tensor's data; None for the further file, to which it is written if no other has it."""
        digest = _digest(data)
        if digest not in self._starts:
            self._starts[digest] = None, self._further.stat().st_size
            with self._further.open("ab") as file:
                file.write(data)
        return self._starts[digest]


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
