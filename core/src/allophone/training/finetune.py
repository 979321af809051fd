"""Beginning with somebody else's weights: taken by name and shape, and accounted for.

The source is a run, a checkpoint, a voice or a vocoder. Ids of the source's vocabulary stay what they were, and
what the new data has beside it gets the ids after; so an embedding that has grown is the source's rows,
followed by new ones.
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
from allophone.run_folder import (
    AVERAGE,
    STATE,
    TRAINING_WEIGHTS,
    VOCABULARY,
    WEIGHTS,
    find_checkpoint,
)
from allophone.text.symbols import SymbolTable
from allophone.training.objective import Adapted
from allophone.weights import add_prefix, compare, read_weights, strip_prefix

_SHOWN = 8


@frozen(kw_only=True)
class Source:
    """Weights to begin with, by "module.parameter", and the vocabulary that they were trained with."""

    path: Path
    weights: Mapping[str, Tensor]
    vocabulary: Vocabulary


@frozen(kw_only=True)
class FineTuneReport:
    """What became of each tensor, by name.

    taken: as it was. adapted: made of the source's, and how. grown: the first rows of it, with how many
    are new. skipped: in the source, and why it was left there. new: of the model alone, as it was
    initialised.
    symbols, speakers, languages: those that the source did not know.
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
        """Write the whole report as JSON."""
        text = json.dumps(asdict(self), ensure_ascii=False, indent=1)
        path.write_text(text + "\n", encoding="utf-8")

    def __str__(self) -> str:
        adapted = f"{len(self.adapted)} adapted, " if self.adapted else ""
        return (
            f"From {self.source}: {len(self.taken)} tensors taken, {adapted}{len(self.grown)} grown, "
            f"{len(self.skipped)} skipped, {len(self.new)} new."
        )

    def __rich__(self) -> Group:
        table = Table("", "tensors", "which", box=None)
        table.add_row("taken", str(len(self.taken)), _families(self.taken))
        for how, names in _grouped(self.adapted).items():
            table.add_row("adapted", str(len(names)), f"{_families(names)}: {how}")
        grown = ", ".join(f"{name} (+{rows} rows)" for name, rows in self.grown.items())
        table.add_row("grown", str(len(self.grown)), grown)
        for reason, names in _grouped(self.skipped).items():
            table.add_row("skipped", str(len(names)), f"{_families(names)}: {reason}")
        table.add_row("new", str(len(self.new)), _families(self.new))
        for kind in ("symbols", "speakers", "languages"):
            if unknown := getattr(self, kind):
                table.add_row(f"new {kind}", str(len(unknown)), " ".join(unknown))
        return Group(str(self), table)


def read_source(place: Path, *, inference_module: str) -> Source:
    """Read what is to be fine-tuned: a run, a checkpoint, or the folder of a voice or vocoder.

    inference_module: the objective's module that a voice is made of. Where a checkpoint keeps a moving average
    of it, that is taken. Of a voice, what its folder has for training beside it is taken too; one
    that was assembled of several runs names its weights by module already.
    """
    if (place / WEIGHTS).is_file() and not (place / STATE).is_file():
        weights = read_weights(place / WEIGHTS)
        if not strip_prefix(weights, inference_module):
            weights = add_prefix(weights, inference_module)
        if (place / TRAINING_WEIGHTS).is_file():
            weights |= read_weights(place / TRAINING_WEIGHTS)
        return Source(path=place, weights=weights, vocabulary=_vocabulary(place))
    path = find_checkpoint(place).path
    weights = read_weights(path / WEIGHTS)
    if (path / AVERAGE).is_file():
        weights |= read_weights(path / AVERAGE)
    return Source(path=path, weights=weights, vocabulary=_vocabulary(path))


def extended(source: Vocabulary, data: Vocabulary) -> Vocabulary:
    """The source's vocabulary, its ids as they were, followed by what the data has beside it.

    The name of a lone speaker or language is not kept: nothing was learned that tells it from others,
    so the voice of one speaker is fine-tuned to the voice of another one.
    """
    ids = dict(source.symbols.ids)
    for symbol in source.symbols.missing(data.symbols.ids):
        ids[symbol] = max(ids.values(), default=-1) + 1
    symbols = SymbolTable(
        ids=ids, blank=data.symbols.blank, bos=data.symbols.bos, eos=data.symbols.eos
    )
    return Vocabulary(
        symbols=symbols,
        speakers=_joined(source.speakers, data.speakers),
        languages=_joined(source.languages, data.languages),
    )


@torch.no_grad()
def take_weights(
    modules: Mapping[str, nn.Module],
    source: Source,
    vocabulary: Vocabulary,
    adapted: Mapping[str, Adapted] | None = None,
) -> FineTuneReport:
    """Copy into an objective's modules what fits them of the source.

    vocabulary: the one that the modules were built for, `extended` from the source's.
    adapted: what the objective has made of the source's weights, which goes before them.
    Raises UserError when nothing fits.
    """
    model = {
        name: tensor
        for prefix, module in modules.items()
        for name, tensor in add_prefix(module.state_dict(), prefix).items()
    }
    made = adapted or {}
    used = {of.source for of in made.values()}
    weights = {name: tensor for name, tensor in source.weights.items() if name not in used}
    weights |= {name: of.tensor for name, of in made.items()}
    comparison = compare(weights, model)
    for name in comparison.matching:
        model[name].copy_(weights[name])
    skipped = dict.fromkeys(comparison.unexpected, "not in the model")
    grown: dict[str, int] = {}
    sizes = _sizes(source.vocabulary, vocabulary)
    embeddings = _embeddings(modules)
    for name, (there, here) in comparison.mismatched.items():
        known = sizes.get(here[0]) if name in embeddings and there[1:] == here[1:] else None
        if known is None or known > there[0]:
            skipped[name] = f"of another shape: {list(there)} there, {list(here)} here"
        else:
            model[name][:known].copy_(weights[name][:known])
            grown[name] = here[0] - known
    if not comparison.matching and not grown:
        raise UserError(
            f"Nothing of {source.path} fits the model: no weight has the name and the shape of one "
            f"of the model's.",
            hint=f"It has {_families(list(source.weights))}; the model has {_families(list(model))}.",
        )
    return FineTuneReport(
        source=str(source.path),
        taken=tuple(name for name in comparison.matching if name not in made),
        adapted={name: made[name].how for name in comparison.matching if name in made},
        grown=grown,
        skipped=skipped,
        new=comparison.missing,
        symbols=tuple(source.vocabulary.symbols.missing(vocabulary.symbols.ids)),
        speakers=_beside(source.vocabulary.speakers, vocabulary.speakers),
        languages=_beside(source.vocabulary.languages, vocabulary.languages),
    )


def _vocabulary(folder: Path) -> Vocabulary:
    """The vocabulary of a source; the folder of a vocoder has none."""
    path = folder / VOCABULARY
    return read_vocabulary(path) if path.is_file() else Vocabulary(symbols=SymbolTable(ids={}))


def _joined(source: tuple[str, ...], data: tuple[str, ...]) -> tuple[str, ...]:
    return (*source, *_beside(source, data)) if len(source) > 1 else data


def _beside(source: tuple[str, ...], data: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in data if name not in source)


def _sizes(source: Vocabulary, vocabulary: Vocabulary) -> dict[int, int]:
    """For the rows of an embedding of the new vocabulary, how many of them the source knows."""
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
        for path, below_it in module.named_modules()
        if isinstance(below_it, nn.Embedding)
    }


def _grouped(reasons: Mapping[str, str]) -> dict[str, list[str]]:
    """Names by their reasons, without what these say of the one tensor."""
    groups: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        groups.setdefault(reason.partition(":")[0], []).append(name)
    return groups


def _families(names: Sequence[str]) -> str:
    """Many names in few words: how many there are below each of the upper parts."""
    counts = Counter(".".join(name.split(".")[:2]) for name in names)
    shown = [f"{family} ({count})" for family, count in counts.most_common(_SHOWN)]
    return ", ".join([*shown, *(["..."] if len(counts) > _SHOWN else [])]) or "nothing"
