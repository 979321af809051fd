"""Symbols and front ends of imported voices."""

from __future__ import annotations

import pytest

from allophone.errors import UserError
from allophone.text.frontend import build_frontend
from allophone_fastspeech2.importers.phones import symbol_table, text_config


def test_symbols_match_the_reference() -> None:
    # From the list in its code: 64 punctuation marks and letters, 84 ARPAbet phones, 209 pinyin, 3 pauses.
    full, english = symbol_table(361).ids, symbol_table(152).ids
    assert {name: full[name] for name in ("AA", "AA0", "AH1", "B", "CH", "ZH")} == {
        "AA": 64, "AA0": 65, "AH1": 74, "B": 88, "CH": 89, "ZH": 147,
    }  # fmt: skip
    assert {name: full[name] for name in ("b", "zh", "a1", "iii5", "vn5", "rr")} == {
        "b": 148, "zh": 170, "a1": 171, "iii5": 260, "vn5": 355, "rr": 356,
    }  # fmt: skip
    assert [full[name] for name in ("sp", "spn", "sil")] == [357, 358, 359]
    assert [english[name] for name in ("AA", "ZH", "sp", "sil")] == [64, 147, 148, 150]
    assert len(english) == 87
    assert len(full) == 296


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("Hello, world.", "HH AH0 L OW1 sp W ER1 L D"),
        ("The tired choir?!", "DH AH0 T AY1 ER0 D K W AY1 ER0"),
        ("He and she: [[K AE1 T]].", "HH IY1 AE1 N D SH IY1 sp K AE1 T"),
    ],
)
def test_english_text_is_mapped_to_arpabet(text: str, phones: str) -> None:
    config = text_config("en")
    known = symbol_table(152).ids
    assert {phone for value in config.phones.values() for phone in value.split()} <= known.keys()
    assert build_frontend(config).symbols(text) == phones.split()


def test_mandarin_has_to_be_written_as_pinyin() -> None:
    frontend = build_frontend(text_config("zh"))
    symbols = frontend.symbols("[[n i2 h ao3]]， [[sh iii4 j ie4]]。")
    assert symbols == ["n", "i2", "h", "ao3", "sp", "sh", "iii4", "j", "ie4"]
    assert not symbol_table(361).missing(symbols)
    with pytest.raises(UserError, match=r"\[text.phones\] has no entry for '你'"):
        frontend.symbols("你好")
