"""The symbol table: ids, encoding, folding and what it says about symbols it lacks."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allophone.errors import UserError
from allophone.text.symbols import BLANK, BOS, EOS, SymbolTable

VITS = SymbolTable.from_symbols("ab ", blank=BLANK)
PIPER = SymbolTable(
    ids={"_": 0, "^": 1, "$": 2, " ": 3, "a": 14, "b": 15}, blank="_", bos="^", eos="$"
)
PLAIN = SymbolTable.from_symbols("ab ")
BOUNDED = SymbolTable.from_symbols("ab ", bos=BOS, eos=EOS)
TABLES = {"vits": VITS, "piper": PIPER, "plain": PLAIN, "bounded": BOUNDED}
each_table = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)


def test_vits_puts_blanks_around_each_symbol():
    blank, a, b = (VITS.ids[symbol] for symbol in ("_", "a", "b"))
    assert VITS.encode(["a", "b"]) == [blank, a, blank, b, blank]
    assert len(VITS.encode("abab")) == 2 * 4 + 1


def test_piper_bounds_an_utterance_and_has_no_blank_after_its_end():
    assert PIPER.encode(["a", " ", "b"]) == [1, 0, 14, 0, 3, 0, 15, 0, 2]


def test_without_blank_and_boundaries_each_symbol_has_one_id():
    assert PLAIN.encode(["b", "a"]) == [PLAIN.ids["b"], PLAIN.ids["a"]]


@each_table
def test_symbols_that_come_before_others_are_put_in_after_the_opening(table: SymbolTable):
    whole = table.encode("ab")
    begun = (
        whole[: table.opening_length] + table.encode_within("b ") + whole[table.opening_length :]
    )
    assert begun == table.encode("b ab")


def test_from_symbols_is_dense_and_does_not_depend_on_order_or_repetition():
    assert SymbolTable.from_symbols(" bbaab_", blank=BLANK) == VITS
    assert VITS.ids == {"_": 0, " ": 1, "a": 2, "b": 3}
    assert VITS.size == 4


def test_size_counts_ids_that_are_not_used():
    assert PIPER.size == 16
    assert SymbolTable(ids={}).size == 0


def test_missing_symbols_are_all_named_with_counts_and_code_points():
    assert PIPER.missing(["a", "ʔ", "̃", "ʔ"]) == {"ʔ": 2, "̃": 1}
    with pytest.raises(UserError) as raised:
        PIPER.encode(["a", "ʔ", "̃", "ʔ", "aɪ"])
    message = raised.value.message
    assert "'ʔ' (U+0294 LATIN LETTER GLOTTAL STOP) 2 times" in message
    assert "(U+0303 COMBINING TILDE)" in message
    assert "'aɪ'" in message


@each_table
@given(durations=st.lists(st.integers(0, 50), max_size=60), n=st.integers(0, 12))
def test_folded_durations_keep_their_sum(table: SymbolTable, durations: list[int], n: int):
    length = table.encoded_length(n)
    durations = (durations * 60 + [1] * 60)[:length]
    folded = table.fold_durations(durations, n)
    assert len(folded) == n
    assert sum(folded) == (sum(durations) if n else 0)


@each_table
@given(symbols=st.lists(st.sampled_from("ab "), max_size=12))
def test_every_symbol_owns_its_own_id(table: SymbolTable, symbols: list[str]):
    ids = table.encode(symbols)
    assert len(ids) == table.encoded_length(len(symbols))
    owners = table.owners(len(symbols))
    assert len(owners) == (len(ids) if symbols else 0)
    own = [table.ids[symbol] for symbol in symbols]
    special = {table.ids[s] for s in (table.blank, table.bos, table.eos) if s is not None}
    owned = [(owner, id) for owner, id in zip(owners, ids, strict=False) if id not in special]
    assert owned == list(enumerate(own))


def test_blanks_belong_to_the_symbol_before_them():
    #                 ^  _  a  _  b   _    $
    assert PIPER.fold_durations([1, 2, 3, 4, 50, 60, 70], 2) == [10, 180]


def test_durations_of_another_length_are_refused():
    with pytest.raises(UserError, match="Expected 7 durations.*2 symbols.*got 5"):
        PIPER.fold_durations([1] * 5, 2)


@each_table
def test_json_reads_back_equal(table: SymbolTable):
    assert SymbolTable.from_json(table.to_json()) == table


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        "{}",
        '{"ids": {"a": "1"}}',
        '{"ids": {"a": 1.5}}',
        '{"ids": {"a": true}}',
        '{"ids": {"a": 1}, "pad": "a"}',
        '{"ids": {"a": 1}, "blank": 3}',
    ],
)
def test_what_is_no_table_is_refused(text: str):
    with pytest.raises(UserError, match="symbol table"):
        SymbolTable.from_json(text)


def test_json_is_for_readers_too():
    content = json.loads(PIPER.to_json())
    assert content["ids"]["a"] == 14
    assert content["eos"] == "$"
    assert "ʔ" in SymbolTable.from_symbols("ʔ").to_json()


def test_contradictory_tables_are_refused():
    with pytest.raises(UserError, match="blank symbol '_'"):
        SymbolTable(ids={"a": 0}, blank="_")
    with pytest.raises(UserError, match=r"id 3 for: 'a' .*'b'"):
        SymbolTable(ids={"a": 3, "b": 3})
    with pytest.raises(UserError, match="negative"):
        SymbolTable(ids={"a": -1})


def test_a_table_cannot_be_changed_through_the_mapping_it_was_made_of():
    ids = {"a": 0}
    table = SymbolTable(ids=ids)
    ids["b"] = 1
    assert "b" not in table.ids
    with pytest.raises(TypeError):
        table.ids["b"] = 1  # type: ignore[index]
