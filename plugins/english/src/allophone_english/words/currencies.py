"""Currencies: each sign and code with the names of its unit and of the hundredth of it."""

from __future__ import annotations

from attrs import frozen


@frozen
class Currency:
    """One unit, several of it; a hundredth of it, several of those, where they are in use."""

    one: str
    many: str
    cent: str = ""
    cents: str = ""


def _dollar(country: str) -> Currency:
    return Currency(f"{country} dollar", f"{country} dollars", "cent", "cents")


_DOLLAR = Currency("dollar", "dollars", "cent", "cents")
_POUND = Currency("pound", "pounds", "penny", "pence")
_EURO = Currency("euro", "euros", "cent", "cents")
_YEN = Currency("yen", "yen")
_YUAN = Currency("yuan", "yuan")
_RUPEE = Currency("rupee", "rupees", "paisa", "paise")
_WON = Currency("won", "won")
_REAL = Currency("real", "reais", "centavo", "centavos")
_FRANC = Currency("Swiss franc", "Swiss francs", "centime", "centimes")
_RUBLE = Currency("ruble", "rubles", "kopeck", "kopecks")
_ZLOTY = Currency("zloty", "zlotys", "grosz", "groszy")

SIGNS = {
    "US$": _dollar("US"),
    "CA$": _dollar("Canadian"),
    "CAD$": _dollar("Canadian"),
    "C$": _dollar("Canadian"),
    "AU$": _dollar("Australian"),
    "A$": _dollar("Australian"),
    "NZ$": _dollar("New Zealand"),
    "HK$": _dollar("Hong Kong"),
    "NT$": _dollar("Taiwan"),
    "S$": _dollar("Singapore"),
    "MX$": Currency("Mexican peso", "Mexican pesos", "centavo", "centavos"),
    "R$": _REAL,
    "$": _DOLLAR,
    "£": _POUND,
    "€": _EURO,
    "¥": _YEN,
    "￥": _YEN,
    "₹": _RUPEE,
    "₩": _WON,
    "₽": _RUBLE,
    "₺": Currency("lira", "lira", "kurus", "kurus"),
    "₴": Currency("hryvnia", "hryvnias", "kopiyka", "kopiykas"),
    "₪": Currency("shekel", "shekels", "agora", "agorot"),
    "₱": Currency("peso", "pesos", "centavo", "centavos"),
    "₫": Currency("dong", "dong"),
    "฿": Currency("baht", "baht", "satang", "satang"),
    "₦": Currency("naira", "naira", "kobo", "kobo"),
    "₿": Currency("bitcoin", "bitcoins"),
}
CODES = {
    "USD": _dollar("US"),
    "CAD": _dollar("Canadian"),
    "AUD": _dollar("Australian"),
    "NZD": _dollar("New Zealand"),
    "EUR": _EURO,
    "GBP": _POUND,
    "JPY": _YEN,
    "CNY": _YUAN,
    "RMB": Currency("renminbi", "renminbi"),
    "INR": _RUPEE,
    "Rs.": _RUPEE,
    "Rs": _RUPEE,
    "KRW": _WON,
    "BRL": _REAL,
    "CHF": _FRANC,
    "RUB": _RUBLE,
    "PLN": _ZLOTY,
    "SEK": Currency("Swedish krona", "Swedish kronor"),
    "NOK": Currency("Norwegian krone", "Norwegian kroner"),
    "DKK": Currency("Danish krone", "Danish kroner"),
    "BTC": Currency("bitcoin", "bitcoins"),
}
AFTER_ONLY = {
    "¢": Currency("cent", "cents"),
    "kr": Currency("krone", "kroner"),
    "zł": _ZLOTY,
    "Kč": Currency("koruna", "korunas"),
}
CURRENCIES = SIGNS | CODES | AFTER_ONLY

MAGNITUDES = {
    "k": "thousand", "m": "million", "mn": "million", "mln": "million", "mil": "million", "b": "billion", "bn": "billion", "bln": "billion", "t": "trillion", "tn": "trillion",
}  # fmt: skip
"""Letters that are glued to a number; the words themselves stand for themselves."""
