"""Factors for words and phonemes of a sentence."""

from __future__ import annotations

import pytest
import torch

from allophone.errors import UserError
from allophone.inference.protocol import TextBatch
from allophone.text.symbols import BLANK, BOS, EOS, SymbolTable
from allophone_fastspeech2.config import FastSpeech2Controls
from allophone_fastspeech2.prosody_controls import prosody_controls

PLAIN = SymbolTable.from_symbols("abc ")
SURROUNDED = SymbolTable.from_symbols("abc ", blank=BLANK, bos=BOS, eos=EOS)


def text_of(table: SymbolTable, *sentences: str) -> TextBatch:
    rows = [torch.tensor(table.encode(list(sentence))) for sentence in sentences]
    zeros = torch.zeros(len(rows), dtype=torch.long)
    return TextBatch(
        ids=torch.nn.utils.rnn.pad_sequence(rows, batch_first=True),
        lengths=torch.tensor([len(row) for row in rows]),
        speakers=zeros,
        languages=zeros,
        seeds=(0,) * len(rows),
    )


def test_one_factor_is_for_all() -> None:
    found = prosody_controls(FastSpeech2Controls(pitch=1.5), text_of(PLAIN, "ab c"), PLAIN)
    assert found.pitch.tolist() == [[1.5] * 4]
    assert found.length_scale.tolist() == found.energy.tolist() == [[1.0] * 4]


def test_a_factor_a_word_leaves_the_pauses_between_alone() -> None:
    found = prosody_controls(
        FastSpeech2Controls(length_scale=(2.0, 3.0)), text_of(PLAIN, "ab c"), PLAIN
    )
    assert found.length_scale.tolist() == [[2, 2, 1, 3]]


def test_a_factor_a_phoneme() -> None:
    factors = (1.0, 2.0, 3.0, 4.0)
    found = prosody_controls(FastSpeech2Controls(energy=factors), text_of(PLAIN, "ab c"), PLAIN)
    assert found.energy.tolist() == [list(factors)]


def test_blanks_and_boundaries_go_with_their_phonemes() -> None:
    text = text_of(SURROUNDED, "a b")  # ^ _ a _ " " _ b _ $
    found = prosody_controls(FastSpeech2Controls(pitch=(2.0, 3.0)), text, SURROUNDED)
    assert found.pitch.tolist() == [[2, 2, 2, 2, 1, 1, 3, 3, 3]]


def test_each_row_of_a_batch_is_counted_by_itself() -> None:
    found = prosody_controls(
        FastSpeech2Controls(pitch=(2.0, 3.0)), text_of(PLAIN, "ab cab", "ba"), PLAIN
    )
    assert found.pitch.tolist() == [[2, 2, 1, 3, 3, 3], [2, 3, 1, 1, 1, 1]]


def test_other_counts_are_refused_with_both_that_fit() -> None:
    with pytest.raises(UserError, match="pitch has 3 factors.* 2 words and 4 phonemes"):
        prosody_controls(FastSpeech2Controls(pitch=(1.0, 2.0, 3.0)), text_of(PLAIN, "ab c"), PLAIN)


def test_a_voice_without_boundaries_of_words_says_so() -> None:
    table = SymbolTable.from_symbols("abc")
    with pytest.raises(UserError, match="3 phonemes, and this voice does not know where words end"):
        prosody_controls(FastSpeech2Controls(pitch=(1.0, 2.0)), text_of(table, "abc"), table)
