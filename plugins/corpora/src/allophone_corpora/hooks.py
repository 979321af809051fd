"""The entries of this plugin. Light: imports no reader."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import CorpusEntry
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_corpora() -> Iterator[CorpusEntry]:
    for name, config, summary in (
        ("ljspeech", "LJSpeech", "LJSpeech: one English speaker, 24 hours."),
        ("vctk", "VCTK", "VCTK 0.92: 109 English speakers, two microphones."),
        ("libritts", "LibriTTS", "LibriTTS and LibriTTS-R: thousands of English readers."),
        ("hifitts", "HiFiTTS", "Hi-Fi TTS: ten English readers, 292 hours at 44.1 kHz."),
        ("librilight", "LibriLight", "Libri-Light: thousands of hours of audio books, no texts."),
        (
            "festvox",
            "Festvox",
            "Corpora in Festvox layout, such as Debian's festvox-ru, with phone labels.",
        ),
        ("asterisk", "Asterisk", "Telephone prompts of Asterisk, as packaged by Debian."),
        ("csd", "CSD", "Children's Song Dataset: one singer, English and Korean."),
        ("kising", "KiSing", "KiSing: one singer, Mandarin."),
        ("m4singer", "M4Singer", "M4Singer: twenty singers, Mandarin."),
        ("nus48e", "NUS48E", "NUS-48E: twelve singers who sing and read English songs."),
        ("opencpop", "Opencpop", "Opencpop: one singer, a hundred Mandarin songs."),
        ("opensinger", "OpenSinger", "OpenSinger: 66 singers, Mandarin."),
        ("opera", "Opera", "Monophonic opera, Chinese and western, without texts."),
        ("pjs", "PJS", "PJS: one singer who sings and reads a hundred Japanese songs."),
        ("popbutfy", "PopBuTFy", "PopBuTFy: English songs, by amateurs and professionals."),
        ("popcs", "PopCS", "PopCS: one singer, 117 Mandarin songs."),
    ):
        yield CorpusEntry(
            name=name,
            summary=summary,
            config=f"allophone_corpora.config:{config}Config",
            reader=f"allophone_corpora.{name}:read",
        )
