"""Fine-tuning: transfers weights from another model by name and shape, and reports on every tensor.

The source is a run, a checkpoint, a voice or a vocoder. Its vocabulary keeps its ids, and names that are new
in the data get the ids after them. So an extended embedding has the source's rows first, then new rows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from attrs import asdict, frozen
from rich.console import Group
from rich.table import Table
from torch import Tensor, nn

from allophone.data.vocabulary import Vocabulary, read_vocabulary
from allophone.errors import UserError
from allophone.files.atomic import atomic_write
from allophone.files.run_folder import (
    AVERAGE,
    STATE,
    TRAINING_WEIGHTS,
    VOCABULARY,
    WEIGHTS,
    find_checkpoint,
)
from allophone.text.symbols import SymbolTable
from allophone.training.objective import Adapted
from allophone.weights.files import add_prefix, read_weights, strip_prefix
from allophone.weights.loading import compare

_SHOWN = 8


@frozen(kw_only=True)
class Source:
    """Source weights by "module.parameter", and the vocabulary that they were trained with."""

    path: Path
    weights: Mapping[str, Tensor]
    vocabulary: Vocabulary


@frozen(kw_only=True)
class FineTuneReport:
    """What happened to each tensor, by name.

    taken: copied unchanged.
    adapted: computed from the source by the objective, and how.
    grown: embeddings copied to the first rows, and the number of new rows.
    skipped: source tensors that are not used, and why.
    new: model tensors that are not in the source; they keep their initialization.
    symbols, speakers, languages: names that are not in the source's vocabulary.
    """

    source: str
    taken: tuple[str, ...]
    adapted: Mapping[str, str]
    grown: Mapping[str, int]
    skipped: Mapping[str, str]
    new: tuple[str, ...]
    symbols: tuple[str, ...]
    speakers: tuple[str, ...]
    languages: tuple[str, ...]

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        text = json.dumps(asdict(self), ensure_ascii=False, indent=1)
        with atomic_write(path) as file:
            file.write(text.encode() + b"\n")

    def __str__(self) -> str:
        adapted = f"{len(self.adapted)} adapted, " if self.adapted else ""
        return (
            f"From {self.source}: {len(self.taken)} tensors taken, {adapted}{len(self.grown)} grown, "
            f"{len(self.skipped)} skipped, {len(self.new)} new."
        )

    def __rich__(self) -> Group:
        table = Table("", "tensors", "which", box=None)
        table.add_row("taken", str(len(self.taken)), _summarize(self.taken))
        for how, names in _grouped(self.adapted).items():
            table.add_row("adapted", str(len(names)), f"{_summarize(names)}: {how}")
        grown = ", ".join(f"{name} (+{rows} rows)" for name, rows in self.grown.items())
        table.add_row("grown", str(len(self.grown)), grown)
        for reason, names in _grouped(self.skipped).items():
            table.add_row("skipped", str(len(names)), f"{_summarize(names)}: {reason}")
        table.add_row("new", str(len(self.new)), _summarize(self.new))
        for kind in ("symbols", "speakers", "languages"):
            if unknown := getattr(self, kind):
                table.add_row(f"new {kind}", str(len(unknown)), " ".join(unknown))
        return Group(str(self), table)


def read_source(folder: Path, *, inference_module: str) -> Source:
    """Read the source of a fine-tuning: a run, a checkpoint, or the folder of a voice or vocoder.

    inference_module: the objective's module that voices consist of. If a checkpoint has a moving average of
        it, the average is used. For a voice folder, its additional training weights are read too; a voice
        assembled from several runs already has module names in its weights.
    """
    if (folder / WEIGHTS).is_file() and not (folder / STATE).is_file():
        weights = read_weights(folder / WEIGHTS)
        if not strip_prefix(weights, inference_module):
            weights = add_prefix(weights, inference_module)
        if (folder / TRAINING_WEIGHTS).is_file():
            weights |= read_weights(folder / TRAINING_WEIGHTS)
        return Source(path=folder, weights=weights, vocabulary=_vocabulary(folder))
    path = find_checkpoint(folder).path
    weights = read_weights(path / WEIGHTS)
    if (path / AVERAGE).is_file():
        weights |= read_weights(path / AVERAGE)
    return Source(path=path, weights=weights, vocabulary=_vocabulary(path))


def extend_vocabulary(source: Vocabulary, data: Vocabulary) -> Vocabulary:
    """Extend the source's vocabulary, keeping its ids, with names that are new in the data.

    If the source has a single speaker or language, its name is replaced by those of the data: a
    single-speaker model has no speaker embedding, and is fine-tuned to another speaker.
    """
    ids = dict(source.symbols.ids)
    for symbol in source.symbols.missing(data.symbols.ids):
        ids[symbol] = max(ids.values(), default=-1) + 1
    symbols = SymbolTable(
        ids=ids, blank=data.symbols.blank, bos=data.symbols.bos, eos=data.symbols.eos
    )
    return Vocabulary(
        symbols=symbols,
        speakers=_extend(source.speakers, data.speakers),
        languages=_extend(source.languages, data.languages),
    )


@torch.no_grad()
def transfer_weights(
    modules: Mapping[str, nn.Module],
    source: Source,
    vocabulary: Vocabulary,
    adapted: Mapping[str, Adapted] | None = None,
) -> FineTuneReport:
    """Copy the source's weights that fit into an objective's modules.

    vocabulary: the modules' vocabulary, from `extend_vocabulary`.
    adapted: tensors that the objective computed from the source's weights; they take precedence.
    Raises UserError if no weight fits.
    """
    model = {
        name: tensor
        for prefix, module in modules.items()
        for name, tensor in add_prefix(module.state_dict(), prefix).items()
    }
    adapted = adapted or {}
    used = {tensor.source for tensor in adapted.values()}
    weights = {name: tensor for name, tensor in source.weights.items() if name not in used}
    weights |= {name: result.tensor for name, result in adapted.items()}
    comparison = compare(weights, model)
    for name in comparison.matching:
        model[name].copy_(weights[name])
    skipped = dict.fromkeys(comparison.unexpected, "not in the model")
    grown: dict[str, int] = {}
    sizes = _sizes(source.vocabulary, vocabulary)
    embeddings = _embeddings(modules)
    for name, (theirs, ours) in comparison.mismatched.items():
        known = sizes.get(ours[0]) if name in embeddings and theirs[1:] == ours[1:] else None
        if known is None or known > theirs[0]:
            skipped[name] = f"different shape: source {list(theirs)}, model {list(ours)}"
        else:
            model[name][:known].copy_(weights[name][:known])
            grown[name] = ours[0] - known
    if not comparison.matching and not grown:
        raise UserError(
            f"No weight of {source.path} fits the model by name and shape.",
            hint=f"It has {_summarize(list(source.weights))}; the model has "
            f"{_summarize(list(model))}.",
        )
    return FineTuneReport(
        source=str(source.path),
        taken=tuple(name for name in comparison.matching if name not in adapted),
        adapted={name: adapted[name].how for name in comparison.matching if name in adapted},
        grown=grown,
        skipped=skipped,
        new=comparison.missing,
        symbols=tuple(source.vocabulary.symbols.missing(vocabulary.symbols.ids)),
        speakers=_new_names(source.vocabulary.speakers, vocabulary.speakers),
        languages=_new_names(source.vocabulary.languages, vocabulary.languages),
    )


def _vocabulary(folder: Path) -> Vocabulary:
    """Read the vocabulary of a source; the folder of a vocoder has none."""
    path = folder / VOCABULARY
    return read_vocabulary(path) if path.is_file() else Vocabulary(symbols=SymbolTable(ids={}))


def _extend(source: tuple[str, ...], data: tuple[str, ...]) -> tuple[str, ...]:
    return (*source, *_new_names(source, data)) if len(source) > 1 else data


def _new_names(source: tuple[str, ...], data: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in data if name not in source)


def _sizes(source: Vocabulary, vocabulary: Vocabulary) -> dict[int, int]:
    """Map the number of rows of an embedding to how many of them the source has."""
    pairs = (
        (len(vocabulary.languages), len(source.languages)),
        (len(vocabulary.speakers), len(source.speakers)),
        (vocabulary.symbols.size, source.symbols.size),
    )
    return {new: known for new, known in pairs if 0 < known <= new}


def _embeddings(modules: Mapping[str, nn.Module]) -> set[str]:
    return {
        ".".join(part for part in (prefix, path, "weight") if part)
        for prefix, module in modules.items()
        for path, submodule in module.named_modules()
        if isinstance(submodule, nn.Embedding)
    }


def _grouped(reasons: Mapping[str, str]) -> dict[str, list[str]]:
    """Group names by their reason, ignoring the detail after a colon."""
    groups: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        groups.setdefault(reason.partition(":")[0], []).append(name)
    return groups


def _summarize(names: Sequence[str]) -> str:
    """Summarize tensor names: the number of tensors for each two-part prefix."""
    counts = Counter(".".join(name.split(".")[:2]) for name in names)
    shown = [f"{prefix} ({count})" for prefix, count in counts.most_common(_SHOWN)]
    return ", ".join([*shown, *(["..."] if len(counts) > _SHOWN else [])]) or "nothing"
