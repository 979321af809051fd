"""The symbols of imported voices, and plain text in them."""

from __future__ import annotations

import pytest

from allophone.errors import UserError
from allophone.frontend import build_frontend
from allophone_fastspeech2.importers.phones import symbol_table, text_config


def test_symbols_are_those_of_the_reference() -> None:
    # Read off the list in its code: 64 marks and letters, 84 phones, 209 of pinyin, 3 pauses.
    whole, english = symbol_table(361).ids, symbol_table(152).ids
    assert {name: whole[name] for name in ("AA", "AA0", "AH1", "B", "CH", "ZH")} == {
        "AA": 64, "AA0": 65, "AH1": 74, "B": 88, "CH": 89, "ZH": 147,
    }  # fmt: skip
    assert {name: whole[name] for name in ("b", "zh", "a1", "iii5", "vn5", "rr")} == {
        "b": 148, "zh": 170, "a1": 171, "iii5": 260, "vn5": 355, "rr": 356,
    }  # fmt: skip
    assert [whole[name] for name in ("sp", "spn", "sil")] == [357, 358, 359]
    assert [english[name] for name in ("AA", "ZH", "sp", "sil")] == [64, 147, 148, 150]
    assert len(english) == 87
    assert len(whole) == 296


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("Hello, world.", "HH AH0 L OW1 sp W ER1 L D"),
        ("The tired choir?!", "DH AH0 T AY1 ER0 D K W AY1 ER0"),
        ("He and she: [[K AE1 T]].", "HH IY1 AE1 N D SH IY1 sp K AE1 T"),
    ],
)
def test_plain_english_in_its_phones(text: str, phones: str) -> None:
    config = text_config("en")
    known = symbol_table(152).ids
    assert {phone for value in config.phones.values() for phone in value.split()} <= known.keys()
    assert build_frontend(config).symbols(text) == phones.split()


def test_pinyin_is_written_by_hand() -> None:
    frontend = build_frontend(text_config("zh"))
    symbols = frontend.symbols("[[n i2 h ao3]]， [[sh iii4 j ie4]]。")
    assert symbols == ["n", "i2", "h", "ao3", "sp", "sh", "iii4", "j", "ie4"]
    assert not symbol_table(361).missing(symbols)
    with pytest.raises(UserError, match=r"\[text.phones\] has no entry for '你'"):
        frontend.symbols("你好")
