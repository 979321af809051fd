"""Runs corpus readers and checks that they yield utterances."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from allophone.config.corpora import NamedCorpus
from allophone.data.manifest import BadRow, Utterance
from allophone.errors import PluginError, UserError, reason_of, shown
from allophone.registry import Registry

_HINT = (
    "This is a bug in the reader. See 'Writing a reader' in docs/corpora.md, and test the reader with "
    "the contract suite's CorpusContract."
)


def read_corpus(corpus: NamedCorpus, registry: Registry) -> Iterator[Utterance | BadRow]:
    """Yield the utterances of a corpus, and the rows of its list that hold none.

    Raises:
        UserError: raised by the reader, for a folder that does not match the config.
        PluginError: if the reader raises another error or yields anything but `Utterance` and `BadRow`;
            the message names the corpus, the distribution and the yielded value.
    """
    read: Callable[[Any], object] = registry.load("corpora", corpus.type, "reader")
    owner = registry.owner("corpora", corpus.type)
    distribution = f"{owner.distribution} {owner.version}".strip()
    reader = f"The reader of the corpus '{corpus.name}', of {distribution},"
    count = 0
    try:
        returned = read(corpus.config)
        if not isinstance(returned, Iterable):
            raise PluginError(
                f"{reader} returned {_shown(returned)}; expected an iterable of Utterance records.",
                hint=_HINT,
            )
        for count, utterance in enumerate(returned, start=1):
            if not isinstance(utterance, Utterance | BadRow):
                raise PluginError(
                    f"{reader} yielded {_shown(utterance)} as number {count}; expected an Utterance "
                    "(allophone.data.manifest).",
                    hint=_HINT,
                )
            yield utterance
    except UserError as error:
        source = registry.find("corpora", corpus.type).source
        if source and not Path(corpus.config.root).expanduser().is_dir():
            hints = (error.hint, f"The corpus '{corpus.type}' can be had from {source}")
            raise UserError(error.message, hint="\n".join(filter(None, hints))) from error
        raise
    except Exception as error:
        raise PluginError(
            f"{reader} raised {type(error).__name__} after {count} utterances: {reason_of(error)} "
            f"({_location(error, read)})",
            hint=_HINT,
        ) from error


def _shown(value: object) -> str:
    if value is None:
        return "None"
    return f"a {type(value).__name__}, {shown(value)}"


def _location(error: Exception, read: Callable[[Any], object]) -> str:
    """Return the last line of the reader's module in the traceback, as "file:12"."""
    module = sys.modules.get(getattr(read, "__module__", ""))
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename == getattr(module, "__file__", None)]
    frame = (own or frames)[-1]
    return f"{frame.filename}:{frame.lineno}"
