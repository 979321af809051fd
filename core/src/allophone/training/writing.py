"""Whether plain texts are written with the symbols that a model learns, where those are of labels.

A model that learns the phones of labels trains without ever being given a plain text. That the front end
writes other symbols would be noticed when it first speaks, after the training.
"""

from __future__ import annotations

import logging
from collections import Counter

from allophone.data.vocabulary import Vocabulary
from allophone.errors import PluginError, UserError
from allophone.frontend import build_frontend
from allophone.loading import Corpus
from allophone.registry import Registry
from allophone.text.frontend import TextFrontend

_log = logging.getLogger(__name__)

_TEXTS = 200
_SHOWN = 8


def warn_of_unknown_symbols(corpus: Corpus, vocabulary: Vocabulary, registry: Registry) -> None:
    """Count the training texts that the voice would refuse to say, and name what it lacks for them."""
    if not corpus.learns_labels:
        return
    utterances = corpus.split("train")[:_TEXTS]
    reasons: Counter[str] = Counter()
    refused = 0
    for utterance in utterances:
        try:
            frontend = build_frontend(corpus.experiment.text, utterance.language, registry)
        except PluginError as error:
            _log.warning("Whether this voice will read plain texts was not examined: %s", error)
            return
        lacking = _lacking(frontend, utterance.text, vocabulary)
        reasons.update(lacking)
        refused += bool(lacking)
    if refused:
        named = [f"{reason} ({count})" for reason, count in reasons.most_common(_SHOWN)]
        if len(reasons) > _SHOWN:
            named.append(f"{len(reasons) - _SHOWN} more")
        _log.warning(
            "This voice learns the phones of labels, and plain texts are written with others: %d of %d "
            "training texts it would refuse to say, for want of: %s. [text.phones] says what these are "
            "called in the labels; it can be set after the training too.",
            refused,
            len(utterances),
            ", ".join(named),
        )


def _lacking(frontend: TextFrontend, text: str, vocabulary: Vocabulary) -> list[str]:
    """What a text needs that is not known: symbols of the vocabulary, or an entry of [text.phones]."""
    try:
        return [repr(symbol) for symbol in vocabulary.symbols.missing(frontend.symbols(text))]
    except UserError as error:
        return [error.message]
