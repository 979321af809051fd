"""MONEY: amounts in a currency, which is written before or after them."""

from __future__ import annotations

import re

from allophone_english import numbers
from allophone_english.context import is_attributive
from allophone_english.patterns import AMOUNT, NO_MORE, any_of
from allophone_english.tokens import DIGIT, LETTER, SIGN, Kind, Rule, Scene
from allophone_english.words.currencies import (
    AFTER_ONLY,
    CODES,
    CURRENCIES,
    MAGNITUDES,
    SIGNS,
    Currency,
)
from allophone_english.words.units import BELOW, PERIODS

_SCALE = r"""(?P<scale>
    [ -]?(?:thousand|million|billion|trillion|[mb]n|tn|mil)(?!\w)
  | [ ]?[mbMB]ln(?!\w)(?:\.(?=[ ][a-z]))?
  | [ ]?[KMBT](?!\w)
  | [kmbt](?!\w)
)"""
_PER = rf"(?P<per>/(?:{any_of(BELOW)}|(?:{PERIODS}))(?!\w))"
_MINUS = r"(?P<minus>-)?"


def _money(match: re.Match[str], scene: Scene) -> str | None:
    if match["minus"] and scene.glued:
        return None
    currency = CURRENCIES[match["currency"]]
    # Where these are used, points group thousands.
    european = match["currency"] in ("€", "EUR", "R$", "BRL", "kr", "DKK", "NOK", "₺", "zł")
    low, high = (
        numbers.plain(written or "", decimal_comma=european)
        for written in (match["low"], match["high"])
    )
    scale = (match["scale"] or "").strip(" -.").lower()
    attributive = is_attributive(match, scene) or (match["scale"] or "").startswith("-")
    last = high or low
    said = (
        _scaled(last, scale, currency, attributive)
        if scale
        else _amount(last, currency, attributive)
    )
    if high:
        # The lower end goes without the unit, unless there are cents.
        cents = "." in low and not scale
        said = f"{_amount(low, currency, attributive) if cents else numbers.number(low)} to {said}"
    if match["minus"] or match["minus_within"]:
        said = f"minus {said}"
    return said + per(match["per"])


def _scaled(amount: str, scale: str, currency: Currency, attributive: bool) -> str:
    unit = currency.one if attributive else currency.many
    return f"{numbers.number(amount)} {MAGNITUDES.get(scale, scale)} {unit}"


def _amount(amount: str, currency: Currency, attributive: bool) -> str:
    whole, _, fraction = amount.partition(".")
    if len(fraction) not in (0, 2) or (fraction and not currency.cent):
        return f"{numbers.number(amount)} {currency.one if attributive else currency.many}"
    parts = []
    if int(whole or "0") or not int(fraction or "0"):
        one = whole == "1" or attributive
        parts.append(f"{numbers.cardinal(whole or '0')} {currency.one if one else currency.many}")
    if int(fraction or "0"):
        cents = currency.cent if fraction == "01" or attributive else currency.cents
        parts.append(f"{numbers.cardinal(str(int(fraction)))} {cents}")
    return " and ".join(parts)


def per(written: str | None) -> str:
    """ "/hr" -> " per hour"."""
    if not written:
        return ""
    unit = written[1:]
    return f" per {BELOW.get(unit, unit)}"


def _currency_alone(match: re.Match[str], scene: Scene) -> str:
    return CURRENCIES[match["currency"]].many + per(match["per"])


def _pence(match: re.Match[str], scene: Scene) -> str:
    return f"{numbers.cardinal(match[1])} {'penny' if match[1] == '1' else 'pence'}"


_BEFORE = rf"(?P<currency>{any_of(SIGNS)}|(?:{any_of(CODES)})(?=[ ]?\d))"

RULES = (
    Rule(
        "$10-20 million",
        Kind.MONEY,
        SIGN | LETTER,
        rf"{_MINUS}{_BEFORE}[ ]?(?P<minus_within>-)?(?P<low>{AMOUNT})"
        rf"(?:[ ]?[-–—][ ]?(?P=currency)?[ ]?(?P<high>{AMOUNT}))?{_SCALE}?{_PER}?(?![\w])",
        _money,
    ),
    Rule(
        "27,50 €",
        Kind.MONEY,
        DIGIT | SIGN,
        rf"{_MINUS}(?P<minus_within>)(?P<low>{AMOUNT})(?:[ ]?[-–—][ ]?(?P<high>{AMOUNT}))?{_SCALE}?[ ]?"
        rf"(?P<currency>(?:{any_of(SIGNS)})(?![ ]?\d)|{any_of({**CODES, **AFTER_ONLY})}){_PER}?{NO_MORE}",
        _money,
    ),
    Rule("50p", Kind.MONEY, DIGIT, rf"(\d{{1,2}})p{NO_MORE}", _pence),
    Rule("in $/hr", Kind.MONEY, SIGN, rf"(?P<currency>{any_of(SIGNS)}){_PER}", _currency_alone),
    Rule(
        "a $ sign",
        Kind.MONEY,
        SIGN,
        rf"(?P<currency>{any_of([*SIGNS, '¢'])})(?P<per>)",
        _currency_alone,
    ),
)
