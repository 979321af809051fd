"""Which utterances of a split a model can be trained on, and why the others are left out, as columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import overload

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from allophone.data.loader import Example
from allophone.data.manifest import Dropped
from allophone.data.vocabulary import Vocabulary
from allophone.datasets.corpus_index import StoredUtterances, symbols_in_parts

Reject = Callable[[Mapping[str, int]], Dropped | None]
"""Returns why an utterance with features of these lengths cannot be used, or None if it can."""

_PART = 1 << 16

_READ_BEFORE_RELEASE = 1000
"""Examples after which a process gives back the pages of the index: each example touches some in every column."""


class Examples(Sequence[Example]):
    """The examples of some utterances, each put together when it is asked for."""

    def __init__(
        self,
        stored: StoredUtterances,
        *,
        features: Sequence[str],
        speakers: NDArray[np.int64],
        languages: NDArray[np.int64],
    ) -> None:
        """speakers, languages: the embedding ids of each of the manifest's numbers, and of None at the end."""
        self.stored = stored
        self._features = features
        self._speakers, self._languages = speakers, languages
        self._read = 0

    def __len__(self) -> int:
        return len(self.stored)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Examples: ...
    def __getitem__(self, index: int | slice) -> Example | Examples:
        if isinstance(index, slice):
            return Examples(
                self.stored[index],
                features=self._features,
                speakers=self._speakers,
                languages=self._languages,
            )
        corpus, row = self.stored.corpus, int(self.stored.rows[index])
        self._read += 1
        if self._read % _READ_BEFORE_RELEASE == 0:
            corpus.release()
        return Example(
            id=corpus.manifest.utterance(row).id,
            features={name: corpus.features[name].array(row) for name in self._features},
            speaker=int(self._speakers[corpus.manifest.codes("speaker")[row]]),
            language=int(self._languages[corpus.manifest.codes("language")[row]]),
            seconds=float(corpus.seconds[row]),
        )


class LeftOut(Mapping[str, Dropped]):
    """Why utterances are left out, by id, in the order of the manifest; details are worked out when they are asked for."""

    def __init__(
        self,
        stored: StoredUtterances,
        codes: NDArray[np.int32],
        reasons: Sequence[str],
        why: Callable[[int], Dropped],
    ) -> None:
        """codes: the reason of each utterance [N]. why: the reason of a row, with its detail."""
        self._stored, self._codes, self._reasons, self._why = stored, codes, reasons, why
        self._rows_by_id: dict[str, int] | None = None

    def __len__(self) -> int:
        return len(self._stored)

    def __iter__(self) -> Iterator[str]:
        return (utterance.id for utterance in self._stored.utterances)

    def __getitem__(self, id: str) -> Dropped:
        if self._rows_by_id is None:
            self._rows_by_id = dict(zip(self, self._stored.rows.tolist(), strict=True))
        return self._why(self._rows_by_id[id])

    def counted(self, named: int) -> Iterator[tuple[str, int, list[tuple[str, str]]]]:
        """Yield each reason, how many utterances have it, and the id and detail of a few of them."""
        codes, first, counts = np.unique(self._codes, return_index=True, return_counts=True)
        for place in np.argsort(first):
            rows = self._stored.rows[np.flatnonzero(self._codes == codes[place])[:named]]
            shown = [
                (self._stored.corpus.manifest.utterance(row).id, self._why(row).detail)
                for row in rows.tolist()
            ]
            yield self._reasons[codes[place]], int(counts[place]), shown


@frozen(kw_only=True)
class Selector:
    """Chooses the utterances that a model with some vocabulary can be trained on.

    features: the features of its batches.
    language: of utterances without one.
    """

    vocabulary: Vocabulary
    features: Sequence[str]
    language: str
    reject: Reject | None
    _reasons: list[str] = field(factory=list, init=False)

    def select(self, stored: StoredUtterances) -> tuple[Examples, LeftOut]:
        """Divide utterances into those that can be used and those that are left out."""
        codes = np.full(len(stored), -1, np.int32)
        for reason, unusable in (
            ("unknown symbol", self._with_unknown_symbols(stored)),
            ("unknown language", self._unknown("language", stored)),
            ("unknown speaker", self._unknown("speaker", stored)),
        ):
            if unusable is not None:
                codes[(codes < 0) & unusable] = self._code(reason)
        if self.reject:
            for place, why in self._rejected(stored, np.flatnonzero(codes < 0)):
                codes[place] = self._code(why.reason)
        stored.corpus.release()
        vocabulary, names = self.vocabulary, stored.corpus.manifest.names
        examples = Examples(
            stored.where(codes < 0),
            features=tuple(self.features),
            speakers=_ids(vocabulary.speakers, [*names["speaker"], None]),
            languages=_ids(vocabulary.languages, [*names["language"], self.language]),
        )
        left_out = LeftOut(
            stored.where(codes >= 0),
            codes[codes >= 0],
            self._reasons,
            lambda row: self._why(stored, row),
        )
        return examples, left_out

    def _code(self, reason: str) -> int:
        if reason not in self._reasons:
            self._reasons.append(reason)
        return self._reasons.index(reason)

    def _with_unknown_symbols(self, stored: StoredUtterances) -> NDArray[np.bool_] | None:
        unusable = None
        for name in self.features:
            feature = stored.corpus.features[name]
            missing = set(self.vocabulary.symbols.missing(sorted(feature.symbols)))
            if not missing:
                continue
            is_missing = np.array([symbol in missing for symbol in feature.symbols])
            parts = []
            for occurring, bounds in symbols_in_parts(feature, stored.rows):
                counts = np.concatenate([[0], np.cumsum(is_missing[occurring])])[bounds]
                parts.append(counts[1:] > counts[:-1])
            found = np.concatenate(parts) if parts else np.zeros(0, bool)
            unusable = found if unusable is None else unusable | found
        return unusable

    def _unknown(self, field: str, stored: StoredUtterances) -> NDArray[np.bool_] | None:
        known = self.vocabulary.languages if field == "language" else self.vocabulary.speakers
        if not known:
            return None
        # The last is for None, whose number is -1.
        named = [
            *stored.corpus.manifest.names[field],
            self.language if field == "language" else None,
        ]
        is_unknown = np.array([name not in set(known) for name in named])
        return is_unknown[stored.codes(field)] if is_unknown.any() else None

    def _lengths(
        self, stored: StoredUtterances, rows: NDArray[np.int64]
    ) -> Iterator[dict[str, int]]:
        """Yield the lengths in a batch of the features of each row."""
        columns = []
        for name in self.features:
            feature = stored.corpus.features[name]
            lengths = feature.length[rows].astype(np.int64)
            is_text = feature.is_text[feature.kind[rows]]
            if is_text.any():
                encoded = np.array(
                    [self.vocabulary.symbols.encoded_length(n) for n in range(lengths.max() + 1)]
                )
                lengths = np.where(is_text, encoded[np.where(is_text, lengths, 0)], lengths)
            columns.append(lengths.tolist())
        names = tuple(self.features)
        for values in zip(*columns, strict=True):
            yield dict(zip(names, values, strict=True))

    def _rejected(
        self, stored: StoredUtterances, places: NDArray[np.int64]
    ) -> Iterator[tuple[int, Dropped]]:
        assert self.reject
        for first in range(0, len(places), _PART):
            part = places[first : first + _PART]
            for place, lengths in zip(
                part.tolist(), self._lengths(stored, stored.rows[part]), strict=True
            ):
                if why := self.reject(lengths):
                    yield place, why

    def _why(self, stored: StoredUtterances, row: int) -> Dropped:
        """Say why the utterance of a row is left out."""
        utterance = stored.corpus.manifest.utterance(row)
        vocabulary = self.vocabulary
        features = [stored.corpus.features[name] for name in self.features]
        symbols = set().union(*(feature.symbols_of(row) for feature in features))
        if missing := vocabulary.symbols.missing(sorted(symbols)):
            return Dropped(reason="unknown symbol", detail=" ".join(map(repr, missing)))
        language = utterance.language or self.language
        if vocabulary.languages and language not in vocabulary.languages:
            return Dropped(reason="unknown language", detail=language)
        if vocabulary.speakers and utterance.speaker not in vocabulary.speakers:
            return Dropped(reason="unknown speaker", detail=str(utterance.speaker))
        assert self.reject
        why = self.reject(next(self._lengths(stored, np.array([row]))))
        assert why
        return why


def _ids(known: Sequence[str], names: Sequence[str | None]) -> NDArray[np.int64]:
    """The embedding ids of names; 0 for those that are not known."""
    ids = {name: number for number, name in enumerate(known)}
    return np.array([ids.get(name, 0) if name is not None else 0 for name in names], np.int64)
