"""Expansion of prosody controls to ids."""

from __future__ import annotations

import pytest
import torch

from allophone.errors import UserError
from allophone.inference.protocol import TextBatch
from allophone.text.symbols import BLANK, BOS, EOS, SymbolTable
from allophone_fastspeech2.config import FastSpeech2Controls
from allophone_fastspeech2.prosody_controls import prosody_controls

PLAIN = SymbolTable.from_symbols("abc ")
WITH_MARKERS = SymbolTable.from_symbols("abc ", blank=BLANK, bos=BOS, eos=EOS)


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


def test_one_factor_applies_to_all_ids() -> None:
    expanded = prosody_controls(FastSpeech2Controls(pitch=1.5), text_of(PLAIN, "ab c"), PLAIN)
    assert expanded.pitch.tolist() == [[1.5] * 4]
    assert expanded.length_scale.tolist() == expanded.energy.tolist() == [[1.0] * 4]


def test_factors_per_word_skip_word_boundaries() -> None:
    expanded = prosody_controls(
        FastSpeech2Controls(length_scale=(2.0, 3.0)), text_of(PLAIN, "ab c"), PLAIN
    )
    assert expanded.length_scale.tolist() == [[2, 2, 1, 3]]


def test_factors_per_phoneme() -> None:
    factors = (1.0, 2.0, 3.0, 4.0)
    expanded = prosody_controls(FastSpeech2Controls(energy=factors), text_of(PLAIN, "ab c"), PLAIN)
    assert expanded.energy.tolist() == [list(factors)]


def test_blanks_and_markers_get_the_factor_of_their_neighbour() -> None:
    text = text_of(WITH_MARKERS, "a b")  # ^ _ a _ " " _ b _ $
    expanded = prosody_controls(FastSpeech2Controls(pitch=(2.0, 3.0)), text, WITH_MARKERS)
    assert expanded.pitch.tolist() == [[2, 2, 2, 2, 1, 1, 3, 3, 3]]


def test_rows_of_a_batch_are_expanded_separately() -> None:
    expanded = prosody_controls(
        FastSpeech2Controls(pitch=(2.0, 3.0)), text_of(PLAIN, "ab cab", "ba"), PLAIN
    )
    assert expanded.pitch.tolist() == [[2, 2, 1, 3, 3, 3], [2, 3, 1, 1, 1, 1]]


def test_a_wrong_count_is_an_error_that_names_both_counts() -> None:
    with pytest.raises(UserError, match="pitch has 3 factors.* 2 words and 4 phonemes"):
        prosody_controls(FastSpeech2Controls(pitch=(1.0, 2.0, 3.0)), text_of(PLAIN, "ab c"), PLAIN)


def test_a_voice_without_word_boundaries_needs_factors_per_phoneme() -> None:
    table = SymbolTable.from_symbols("abc")
    with pytest.raises(UserError, match="3 phonemes, and this voice has no word boundaries"):
        prosody_controls(FastSpeech2Controls(pitch=(1.0, 2.0)), text_of(table, "abc"), table)
