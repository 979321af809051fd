"""The entries of this plugin. Light: imports no reader."""

from __future__ import annotations

from collections.abc import Iterator

from allophone.entries import CorpusEntry
from allophone.hookspecs import hookimpl

CONTRACT = 1


@hookimpl
def allophone_corpora() -> Iterator[CorpusEntry]:
    for name, config, summary, source in (
        (
            "ljspeech",
            "LJSpeech",
            "LJSpeech: one English speaker, 24 hours.",
            "https://keithito.com/LJ-Speech-Dataset/ (2.6 GB, public domain).",
        ),
        (
            "vctk",
            "VCTK",
            "VCTK 0.92: 109 English speakers, two microphones.",
            "https://datashare.ed.ac.uk/handle/10283/3443 (11 GB, CC BY 4.0).",
        ),
        (
            "libritts",
            "LibriTTS",
            "LibriTTS and LibriTTS-R: thousands of English readers.",
            "https://www.openslr.org/60/ (8 GB for train-clean-100, 83 GB in all), LibriTTS-R from https://www.openslr.org/141/; both CC BY 4.0.",
        ),
        (
            "hifitts",
            "HiFiTTS",
            "Hi-Fi TTS: ten English readers, 292 hours at 44.1 kHz.",
            "https://www.openslr.org/109/ (41 GB, CC BY 4.0).",
        ),
        (
            "librilight",
            "LibriLight",
            "Libri-Light: thousands of hours of audio books, no texts.",
            "https://github.com/facebookresearch/libri-light (small 35 GB, medium 321 GB, large 3 TB; its page has the licence).",
        ),
        (
            "festvox",
            "Festvox",
            "Corpora in Festvox layout, such as Debian's festvox-ru, with phone labels.",
            "Debian: apt-get install festvox-ru (180 MB; its copyright file has the licence).",
        ),
        (
            "asterisk",
            "Asterisk",
            "Telephone prompts of Asterisk, as packaged by Debian.",
            "Debian: apt-get install asterisk-core-sounds-en asterisk-core-sounds-en-g722 (11 MB; its copyright file has the licence).",
        ),
        (
            "csd",
            "CSD",
            "Children's Song Dataset: one singer, English and Korean.",
            "https://zenodo.org/records/4785016 (its page has the size; CC BY-NC-SA 4.0).",
        ),
        (
            "kising",
            "KiSing",
            "KiSing: one singer, Mandarin.",
            'http://shijt.site, "KiSing: the First Open-source Mandarin Singing Voice Synthesis Corpus" (its page has size and licence).',
        ),
        (
            "m4singer",
            "M4Singer",
            "M4Singer: twenty singers, Mandarin.",
            "https://github.com/M4Singer/M4Singer, on application (its page has the size; CC BY-NC-SA 4.0).",
        ),
        (
            "nus48e",
            "NUS48E",
            "NUS-48E: twelve singers who sing and read English songs.",
            "https://drive.google.com/drive/folders/12pP9uUl0HTVANU3IPLnumTJiRjPtVUMx (its page has size and licence).",
        ),
        (
            "opencpop",
            "Opencpop",
            "Opencpop: one singer, a hundred Mandarin songs.",
            "https://wenet.org.cn/opencpop/, on application (its page has size and licence).",
        ),
        (
            "opensinger",
            "OpenSinger",
            "OpenSinger: 66 singers, Mandarin.",
            "https://multi-singer.github.io (its page has the size; CC BY-NC-SA).",
        ),
        (
            "opera",
            "Opera",
            "Monophonic opera, Chinese and western, without texts.",
            "http://isophonics.net/SingingVoiceDataset (its page has size and licence).",
        ),
        (
            "pjs",
            "PJS",
            "PJS: one singer who sings and reads a hundred Japanese songs.",
            "https://sites.google.com/site/shinnosuketakamichi/research-topics/pjs_corpus (its page has the size; CC BY-SA 4.0).",
        ),
        (
            "popbutfy",
            "PopBuTFy",
            "PopBuTFy: English songs, by amateurs and professionals.",
            "https://github.com/MoonInTheRiver/NeuralSVB, on application (its page has the size; CC BY-NC-SA 4.0).",
        ),
        (
            "popcs",
            "PopCS",
            "PopCS: one singer, 117 Mandarin songs.",
            "https://github.com/MoonInTheRiver/DiffSinger, on application (its page has the size; CC BY-NC-SA 4.0).",
        ),
    ):
        yield CorpusEntry(
            name=name,
            summary=summary,
            config=f"allophone_corpora.config:{config}Config",
            reader=f"allophone_corpora.{name}:read",
            source=source,
        )
