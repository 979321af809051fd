"""One pass over a text: what each token is, and how it is said.

At each position the rules of the grammar are tried in order, and the first whose pattern matches there and whose
verbaliser has words for it makes the token. Where none has, the token is a word or a sign that stays as it is. So every
character belongs to exactly one token, and none is lost.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from enum import Enum, Flag, auto

from attrs import frozen


class Kind(Enum):
    """The semiotic classes, as the literature of text normalisation names them."""

    PLAIN = auto()
    PUNCT = auto()
    CARDINAL = auto()
    ORDINAL = auto()
    DECIMAL = auto()
    FRACTION = auto()
    DATE = auto()
    TIME = auto()
    MONEY = auto()
    MEASURE = auto()
    TELEPHONE = auto()
    DIGIT = auto()
    ELECTRONIC = auto()
    LETTERS = auto()
    VERBATIM = auto()
    ADDRESS = auto()


QUANTITIES = {
    Kind.CARDINAL,
    Kind.ORDINAL,
    Kind.DECIMAL,
    Kind.FRACTION,
    Kind.DATE,
    Kind.TIME,
    Kind.MONEY,
    Kind.MEASURE,
}
"""What a range goes from and to."""


class Begins(Flag):
    """What a token begins with: only the rules for it are tried."""

    DIGIT = auto()
    LETTER = auto()
    SIGN = auto()


DIGIT, LETTER, SIGN = Begins


@frozen
class Token:
    """What `text[start:end]` is, and how it is said; rule: None where the text stays as it is."""

    kind: Kind
    start: int
    end: int
    words: str
    rule: Rule | None

    @property
    def spoken(self) -> bool:
        """Whether the words are a rule's."""
        return self.rule is not None


class Scene:
    """Where a token begins: the text, the tokens before it, and what its neighbours are.

    Every look around is bounded, so that the time of a text is linear in its length.
    """

    REACH = 64
    """How many characters around a token decide what it is."""

    __slots__ = ("quoted", "start", "text", "tokens")

    def __init__(self, text: str) -> None:
        self.text = text
        self.start = 0
        self.tokens: list[Token] = []
        self.quoted = False

    def before(self, pattern: str) -> bool:
        """Whether a pattern, which should end in `$`, is found just before the token."""
        begin = max(0, self.start - self.REACH)
        return _compile(pattern).search(self.text, begin, self.start) is not None

    def after(self, pattern: str, match: re.Match[str]) -> bool:
        """Whether a pattern follows a match."""
        end = match.end()
        return _compile(pattern).match(self.text, end, end + self.REACH) is not None

    @property
    def last(self) -> Token | None:
        """The token before this one."""
        return self.tokens[-1] if self.tokens else None

    @property
    def glued(self) -> bool:
        """Whether the token goes on what stands right before it, as after a letter or a closing bracket."""
        return self.start > 0 and self.text[self.start - 1] not in _OPENING


Say = Callable[["re.Match[str]", Scene], str | None]
"""The words for a match, or None where it is not what the rule is for."""


@frozen
class Rule:
    """A class of tokens, or a part of one: how it is written, and how it is said.

    example: a text that has such a token.
    begins: what its first character is.
    pattern: in verbose mode, matched where a token begins. It must not reach without bounds beyond what it
        takes, or the time of a long text would be quadratic.
    """

    example: str
    kind: Kind
    begins: Begins
    pattern: str
    say: Say


# Before them, a token begins anew.
_OPENING = frozenset(" ([{\"'/=<>*+,;:±~≈–—-$£€")
# Compiled when first used, so that an import costs little.
_compile = functools.cache(re.compile)
_MatchAt = Callable[[str, int], "re.Match[str] | None"]
# No rule begins with a mark that a space follows; prose is spared the compilation of those for signs.
_PUNCTUATION = re.compile(r"""[.,;:!?)'"](?:\s|$)""")
_SPACE = re.compile(r"\s+")
# Fractions and superscripts are alphanumeric for Python, and signs for us.
_LETTER = r"[^\W\d_¹²³⁰-⁹₀-₉¼-¾⅐-⅞]"
_WORD = re.compile(rf"{_LETTER}+(?:'{_LETTER}+)*")


class Grammar:
    """Rules in their order, which divide a text into tokens."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.rules = tuple(rules)
        self._compiled: dict[Begins, list[tuple[_MatchAt, Rule]]] = {}

    def _beginning(self, begins: Begins) -> list[tuple[_MatchAt, Rule]]:
        """The rules for a beginning, compiled when it is first met."""
        if begins not in self._compiled:
            self._compiled[begins] = [
                (re.compile(rule.pattern, re.VERBOSE).match, rule)
                for rule in self.rules
                if begins in rule.begins
            ]
        return self._compiled[begins]

    def tokens(self, text: str) -> list[Token]:
        """All tokens of a text, in its order; only white space lies between them."""
        scene = Scene(text)
        position = 0
        while position < len(text):
            if space := _SPACE.match(text, position):
                position = space.end()
                continue
            scene.start = position
            token = self._token(scene)
            scene.tokens.append(token)
            position = token.end
            if text[token.start] == '"':
                scene.quoted = not scene.quoted
        return scene.tokens

    def _token(self, scene: Scene) -> Token:
        text, start = scene.text, scene.start
        if _PUNCTUATION.match(text, start):
            return Token(Kind.PUNCT, start, start + 1, text[start], None)
        word = _WORD.match(text, start)
        begins = LETTER if word else DIGIT if text[start].isdecimal() else SIGN
        for match_at, rule in self._beginning(begins):
            match = match_at(text, start)
            if match and match.end() > start:
                words = rule.say(match, scene)
                if words is not None:
                    return Token(rule.kind, start, match.end(), words, rule)
        if word:
            return Token(Kind.PLAIN, start, word.end(), word[0], None)
        return Token(Kind.PUNCT, start, start + 1, text[start], None)


def joined(text: str, tokens: Sequence[Token]) -> str:
    """The words of all tokens, with single spaces wherever the text has some or words would run together."""
    pieces: list[str] = []
    end = 0
    last = ""
    previous: Token | None = None
    for token in tokens:
        words = token.words
        if not words:
            # A silent sign divides words.
            pieces.append(" ")
        elif token.start > end or (
            previous and (token.spoken or previous.spoken) and _run_together(last, words[0])
        ):
            pieces.append(" ")
        pieces.append(words)
        last = words[-1:] or " "
        end = token.end
        previous = token
    return " ".join("".join(pieces).split())


def _run_together(last: str, first: str) -> bool:
    return first.isalnum() and (last.isalnum() or last in ".,;:!?)]…")
