"""The tables `[[data.corpora]]` of this plugin's readers. Light: imports only attrs."""

from __future__ import annotations

from typing import Any, Literal

from attrs import field, frozen, validators

from allophone.corpora.config import CorpusConfig

_not_empty: Any = validators.min_len(1)


@frozen(kw_only=True)
class LJSpeechConfig(CorpusConfig):
    """LJSpeech 1.1, and other corpora in its layout.

    text: which transcript of `metadata.csv` to use: with numbers written out, or as printed.
    """

    text: Literal["normalized", "original"] = "normalized"


@frozen(kw_only=True)
class VCTKConfig(CorpusConfig):
    """VCTK 0.92.

    microphones: which recordings of each sentence to use; those of one sentence share a split.
    """

    microphones: tuple[Literal["mic1", "mic2"], ...] = field(
        default=("mic1",), validator=_not_empty
    )


@frozen(kw_only=True)
class LibriTTSConfig(CorpusConfig):
    """LibriTTS and LibriTTS-R.

    If `subsets` contains dev-* or test-*, the published splits are used, which have disjoint speakers. With
    train-* only, utterances are split by `[data.splits]`, as a model with speaker embeddings needs it.

    subsets: the folders to read, such as "train-clean-360".
    text: which transcript to use: with numbers written out, or as printed.
    """

    subsets: tuple[str, ...] = field(default=("train-clean-100",), validator=_not_empty)
    text: Literal["normalized", "original"] = "normalized"


@frozen(kw_only=True)
class HiFiTTSConfig(CorpusConfig):
    """Hi-Fi TTS. The published splits are kept; all have the same speakers.

    parts: which recordings to use, by noise level.
    text: which transcript to use: with numbers written out, or as printed.
    """

    language: str | None = "en-us"
    parts: tuple[Literal["clean", "other"], ...] = field(
        default=("clean", "other"), validator=_not_empty
    )
    text: Literal["normalized", "original"] = "normalized"


@frozen(kw_only=True)
class LibriLightConfig(CorpusConfig):
    """Libri-Light: chapters of audio books, without texts.

    subsets: the folders to read.
    max_seconds: maximum length of utterances; chapters are split between the speech segments listed in
        their JSON files.
    """

    language: str | None = "en-us"
    subsets: tuple[str, ...] = field(default=("small",), validator=_not_empty)
    max_seconds: float = field(default=20.0, validator=validators.ge(1))


@frozen(kw_only=True)
class SongsConfig(CorpusConfig):
    """Base config of singing corpora. All recordings of one song by one singer are in the same split.

    golden: songs set aside for listening, in the split golden_test; by default those that Amphion's
        recipes hold out, so that results can be compared. `golden = []` sets none aside.
    """

    golden: tuple[str, ...] = ()


@frozen(kw_only=True)
class CSDConfig(SongsConfig):
    """The Children's Song Dataset: one singer, two languages. `golden` names songs: "en004".

    languages: the folders to read; `language` defaults to that of the folder.
    """

    languages: tuple[Literal["english", "korean"], ...] = field(
        default=("english", "korean"), validator=_not_empty
    )
    golden: tuple[str, ...] = ("en004", "en042", "kr013", "kr045")


@frozen(kw_only=True)
class KiSingConfig(SongsConfig):
    """KiSing: one singer, in Mandarin. `golden` names folders: "421"."""

    language: str | None = "cmn"
    golden: tuple[str, ...] = ("421", "424", "431")


@frozen(kw_only=True)
class M4SingerConfig(SongsConfig):
    """M4Singer: twenty singers, in Mandarin. `golden` names folders: "Alto-1#美错"."""

    language: str | None = "cmn"
    golden: tuple[str, ...] = (
        "Alto-1#美错",
        "Bass-1#十年",
        "Soprano-2#同桌的你",
        "Tenor-5#爱笑的眼睛",
    )


@frozen(kw_only=True)
class NUS48EConfig(SongsConfig):
    """NUS-48E: twelve singers, who sing and read English songs. `golden`: "ADIZ#01", sung and read.

    styles: which recordings to read.
    max_seconds: maximum length of utterances; recordings are split at silences, and if parts are still
        longer, at their quietest points.
    """

    language: str | None = "en-us"
    styles: tuple[Literal["read", "sing"], ...] = field(
        default=("read", "sing"), validator=_not_empty
    )
    max_seconds: float = field(default=20.0, validator=validators.ge(1))
    golden: tuple[str, ...] = ("ADIZ#01", "JLEE#08", "MCUR#10", "SAMF#18")


@frozen(kw_only=True)
class OpencpopConfig(CorpusConfig):
    """Opencpop: one singer, in Mandarin. The published test split is kept; `valid` comes from the rest."""

    language: str | None = "cmn"


@frozen(kw_only=True)
class OpenSingerConfig(SongsConfig):
    """OpenSinger: sixty-six singers, in Mandarin. `golden`: "Man_0_大鱼"."""

    language: str | None = "cmn"
    golden: tuple[str, ...] = (
        "Man_0_大鱼",
        "Man_21_丑八怪",
        "Woman_39_mojito",
        "Woman_40_易燃易爆炸",
    )


@frozen(kw_only=True)
class OperaConfig(SongsConfig):
    """Monophonic opera, Chinese and western, of the Singing Voice Audio Dataset. `golden`: "fem_01#neg_1".

    languages: the folders to read; the language of "chinese" is Mandarin unless `language` is set.
    max_seconds: see `NUS48EConfig`.
    """

    languages: tuple[Literal["chinese", "western"], ...] = field(
        default=("chinese", "western"), validator=_not_empty
    )
    max_seconds: float = field(default=20.0, validator=validators.ge(1))
    golden: tuple[str, ...] = ("fem_01#neg_1", "fem_12#pos_3", "male_02#neg_1", "male_11#pos_2")


@frozen(kw_only=True)
class PJSConfig(SongsConfig):
    """PJS: one singer, who sings and reads a hundred Japanese songs. `golden`: "pjs001", sung and read.

    styles: which recordings to read.
    max_seconds: longer recordings are split as in `NUS48EConfig`; their parts have no text.
    """

    language: str | None = "ja"
    styles: tuple[Literal["song", "speech"], ...] = field(
        default=("song", "speech"), validator=_not_empty
    )
    max_seconds: float = field(default=20.0, validator=validators.ge(1))
    golden: tuple[str, ...] = ("pjs001", "pjs002", "pjs003")


@frozen(kw_only=True)
class PopBuTFyConfig(SongsConfig):
    """PopBuTFy: English songs, each in an amateur and a professional style.

    `golden`: "Female1#you_are_my_sunshine", in both styles.
    """

    language: str | None = "en-us"
    golden: tuple[str, ...] = (
        "Female1#you_are_my_sunshine",
        "Female4#Someone_Like_You",
        "Male2#Lemon_Tree",
        "Male5#can_you_feel_the_love_tonight",
    )


@frozen(kw_only=True)
class PopCSConfig(SongsConfig):
    """PopCS: one singer, in Mandarin. `golden` names songs: "虫儿飞"."""

    language: str | None = "cmn"
    golden: tuple[str, ...] = ("明天会更好", "欧若拉", "虫儿飞", "隐形的翅膀")


@frozen(kw_only=True)
class FestvoxConfig(CorpusConfig):
    """A corpus in Festvox layout: `wav/`, `etc/txt.done.data` and optionally `lab/`.

    stress_mark: a character before the stressed vowel in the transcripts ("+" in Debian's festvox-ru), which
        is converted to an acute accent on the vowel. Otherwise a phonemizer would read it aloud: "plus".
    """

    stress_mark: str | None = field(
        default=None, validator=validators.optional([_not_empty, validators.max_len(1)])
    )


@frozen(kw_only=True)
class AsteriskConfig(CorpusConfig):
    """Prompts of the Asterisk telephone exchange, one folder per speaker.

    root: the folder of one speaker, such as `sounds/en_US_f_Allison`.
    transcripts: a file of lines `path: text`, which may be gzipped; relative to `root`.
    """

    transcripts: str = "/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
