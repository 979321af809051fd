"""`TextFrontend`: converts text to the symbols of a model; raw phonemes in `[[ ]]` pass through.

`build_frontend` builds the one that the `[text]` table of an experiment or a voice describes.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, groupby

from attrs import evolve, frozen

from allophone.entries import NormalizerEntry
from allophone.errors import PluginError, UserError
from allophone.registry import Registry, default_registry
from allophone.text.config import TextConfig
from allophone.text.normalization import clean_text
from allophone.text.phonemizers import Phonemizer
from allophone.text.phones import PhoneMap

_log = logging.getLogger(__name__)

RAW = re.compile(r"\[\[(.*?)\]\]", re.DOTALL)
"""A span of raw phonemes or of another language; group 1 is the text between the brackets."""

_FOREIGN = re.compile(r"\s*lang:\s*([^|\s]+)\s*\|(.*)", re.DOTALL)
"""What stands between the brackets of a span of another language: its code, and the words."""

_BRACKETS = re.compile(r"\[\[|\]\]")
_LEADING_MARKS = re.compile(r"\s*([.,:;?!]+)(?=\s|$)")


@frozen(kw_only=True)
class _Part:
    """A span of the text.

    language: of a span of another language, else None.
    mark: the punctuation that directly follows a bracketed span.
    """

    text: str
    raw: bool = False
    language: str | None = None
    mark: str = ""


@frozen(kw_only=True)
class _Span:
    """Consecutive symbols: all from raw phonemes, or all from the phonemizer."""

    symbols: tuple[str, ...]
    raw: bool = False


@frozen(kw_only=True)
class Reading:
    """A text as its front end reads it.

    symbols: empty if nothing in the text is pronounced.
    unreadable: words and symbols that the phonemizer cannot read, as far as it can tell.
    """

    symbols: list[str]
    unreadable: list[str]


@frozen(kw_only=True)
class TextFrontend:
    """Normalizes and phonemizes texts of one language.

    phones: maps the phonemizer's symbols to other phones; None keeps them.
    edges: the symbol at the start and end of every utterance; None adds none.
    foreign: returns the front end of another language; None where there is none.

    `[[lang:fr|bonjour]]` in a text is normalized and phonemized in French. `[[həlˈoʊ]]` anywhere in a text is taken as phonemes, one symbol per code point, and bypasses the
    normalizer and the phonemizer; a space next to the brackets separates words. With `phones`, the
    brackets contain phone names separated by spaces: `[[HH AH0]]`.
    """

    normalizer: Callable[[str], str]
    phonemizer: Phonemizer
    language: str
    phones: PhoneMap | None = None
    edges: str | None = None
    foreign: Callable[[str], TextFrontend] | None = None

    def symbols(self, text: str) -> list[str]:
        """Convert one text to symbols; empty if nothing in it is pronounced.

        Raises `UserError` for unbalanced `[[` and `]]`, and for an unknown language.
        """
        return self.read([text])[0].symbols

    def read(self, texts: Sequence[str]) -> list[Reading]:
        """Read texts, in order; faster than one at a time. Errors as for `symbols`."""
        split = [_split_brackets(text) for text in texts]
        plain = [part for parts in split for part in parts if not part.raw]
        phonemized: dict[int, list[str]] = {}
        unreadable: dict[int, list[str]] = {}
        for language in dict.fromkeys(part.language for part in plain):
            spoken = [part for part in plain if part.language == language]
            frontend = self._of(language)
            normalized = [frontend.normalizer(part.text) for part in spoken]
            keys = [id(part) for part in spoken]
            phonemized |= zip(keys, frontend._phonemize(normalized), strict=True)
            unreadable |= zip(keys, map(frontend._unreadable, normalized), strict=True)
        return [
            Reading(
                symbols=self._to_phones(_join(parts, phonemized)),
                unreadable=[word for part in parts for word in unreadable.get(id(part), [])],
            )
            for parts in split
        ]

    def _of(self, language: str | None) -> TextFrontend:
        if language is None:
            return self
        if self.foreign is None:
            raise UserError(f"This front end reads '{self.language}' alone, not '{language}'.")
        return self.foreign(language)

    def _phonemize(self, texts: Sequence[str]) -> list[list[str]]:
        found = self.phonemizer.phonemize(texts, self.language)
        if len(found) != len(texts):
            raise PluginError(
                f"The phonemizer {type(self.phonemizer).__qualname__} gives {len(found)} lists of symbols for "
                f"{len(texts)} texts; expected one each, in order.",
                hint="Its author can find such faults with the contract suite's PhonemizerContract.",
            )
        return found

    def _unreadable(self, normalized: str) -> list[str]:
        find = getattr(self.phonemizer, "unreadable", None)
        return [] if find is None else list(find(normalized, self.language))

    def _to_phones(self, spans: Sequence[_Span]) -> list[str]:
        names: list[str] = []
        for raw, run in groupby(spans, key=lambda span: span.raw):
            symbols = [list(span.symbols) for span in run]
            if self.phones is None:
                names += chain.from_iterable(symbols)
            elif raw:
                names += " ".join(map("".join, symbols)).split()
            else:
                names += self.phones.names("".join(chain.from_iterable(symbols)))
        return self._with_edges(names)

    def _with_edges(self, names: list[str]) -> list[str]:
        if self.edges is None or not names:
            return names
        before = [] if names[0] == self.edges else [self.edges]
        after = [] if names[-1] == self.edges else [self.edges]
        return [*before, *names, *after]


def build_frontend(
    text: TextConfig, language: str | None = None, registry: Registry | None = None
) -> TextFrontend:
    """Build the front end for a language, by default that of the table.

    Front ends are cached, so that phonemizers are loaded only once. Raises PluginError if the phonemizer is not
    installed, and UserError if it does not support the language.
    """
    return _built(text, language or text.language, registry or default_registry())


def resolve_language(text: TextConfig, language: str, registry: Registry) -> str:
    """Return the phonemizer's code for a language, such as "en-us" for "en_US" with eSpeak NG.

    A code that differs in more than spelling is logged once. Raises UserError if the phonemizer does not support
    the language; some phonemizers cannot tell.
    """
    return _resolved(text.phonemizer, language, registry)


def find_normalizer(text: TextConfig, language: str, registry: Registry) -> NormalizerEntry | None:
    """Find the normalizer for a language such as "en-us", falling back to "en".

    Returns None if no normalizer is installed or `text.normalize` is false; `clean_text` is used then.
    """
    if text.normalize:
        normalizers = registry.entries("normalizers")
        resolved = resolve_language(text, language, registry)
        for code in (resolved, resolved.split("-")[0]):
            if code in normalizers:
                entry: NormalizerEntry = normalizers[code]
                return entry
    return None


@functools.lru_cache(maxsize=32)
def _phonemizer(config: object, registry: Registry) -> Phonemizer:
    name = registry.entry_of("phonemizers", config).name
    built: Phonemizer = registry.load("phonemizers", name, "phonemizer")(config)
    return built


@functools.lru_cache(maxsize=256)
def _resolved(phonemizer: object, language: str, registry: Registry) -> str:
    resolve = getattr(_phonemizer(phonemizer, registry), "resolve", None)
    if resolve is None:
        return language
    code: str = resolve(language)
    if code != language.replace("_", "-").lower():
        _log.warning("The language '%s' is read as '%s'.", language, code)
    return code


@functools.lru_cache(maxsize=32)
def _built(text: TextConfig, language: str, registry: Registry) -> TextFrontend:
    normalizer = find_normalizer(text, language, registry)
    return TextFrontend(
        normalizer=registry.load("normalizers", normalizer.name, "normalizer")()
        if normalizer
        else clean_text,
        phonemizer=_phonemizer(text.phonemizer, registry),
        language=resolve_language(text, language, registry),
        phones=PhoneMap(text.phones) if text.phones else None,
        edges=text.edges,
        foreign=functools.partial(build_frontend, text, registry=registry),
    )


def _split_brackets(text: str) -> list[_Part]:
    """Split a text into raw phonemes, spans of other languages, and the text around them."""
    parts: list[_Part] = []
    for index, piece in enumerate(RAW.split(text)):
        stray = _BRACKETS.search(piece)
        if stray:
            raise UserError(
                f"Unbalanced '{stray[0]}' in the text {text!r}",
                hint="Enclose raw phonemes in [[ and ]]; the brackets cannot be nested.",
            )
        if index % 2 == 1:
            foreign = _FOREIGN.fullmatch(piece)
            parts.append(
                _Part(text=foreign[2].strip(), language=foreign[1])
                if foreign
                else _Part(text=piece.strip(), raw=True)
            )
            continue
        # These marks belong to the brackets before them; a phonemizer would drop them at the start
        # of its text.
        marks = _LEADING_MARKS.match(piece)
        if marks and parts:
            parts[-1] = evolve(parts[-1], mark=marks[1][0])
            piece = piece[marks.end() :]
        parts.append(_Part(text=piece))
    return parts


def _join(parts: Sequence[_Part], phonemized: Mapping[int, Sequence[str]]) -> list[_Span]:
    """Join the symbols of all parts, with one space between parts that white space separates.

    phonemized: the symbols of the parts that are not raw, by their `id`.
    """
    spans: list[_Span] = []
    space = False
    for part in parts:
        spoken = tuple(part.text.strip() if part.raw else phonemized[id(part)])
        space = space or part.text[:1].isspace()
        if spoken or part.mark:
            if spans and space:
                spans.append(_Span(symbols=(" ",)))
            spans.append(_Span(symbols=spoken, raw=part.raw))
            if part.mark:
                spans.append(_Span(symbols=(part.mark,)))
        space = part.text[-1:].isspace() or (space and not (spoken or part.mark))
    return spans
