"""Codes of languages as Home Assistant writes them."""

from __future__ import annotations

_OTHER = {"cmn": "zh_CN", "yue": "zh_HK", "nb": "nb_NO", "nn": "nn_NO"}
"""eSpeak NG's codes that Home Assistant writes otherwise."""


def home_assistant_language(code: str) -> str:
    """`en-us` is `en_US`, `en-gb-x-rp` is `en_GB`, `ru` stays `ru`."""
    parts = code.replace("_", "-").split("-")
    language = parts[0].lower()
    if language in _OTHER:
        return _OTHER[language]
    region = parts[1] if len(parts) > 1 else ""
    if len(region) == 2 or (len(region) == 3 and region.isdigit()):
        return f"{language}_{region.upper()}"
    return language


def same_language(asked: str, spoken: str) -> bool:
    """Whether a voice of the language `spoken` can be taken where `asked` is asked for: `en` and `en-us`."""
    return _language(asked) == _language(spoken)


def _language(code: str) -> str:
    return home_assistant_language(code).partition("_")[0]
