"""The tables `[[data.corpora]]` of this plugin's readers. Light: attrs alone."""

from __future__ import annotations

from typing import Any, Literal

from attrs import field, frozen, validators

from allophone.corpora.config import CorpusConfig

_not_empty: Any = validators.min_len(1)


@frozen(kw_only=True)
class LJSpeechConfig(CorpusConfig):
    """LJSpeech 1.1, and what others have recorded in its layout.

    text: which of the two transcripts of `metadata.csv`: numbers written out or as they were printed.
    """

    text: Literal["normalized", "original"] = "normalized"


@frozen(kw_only=True)
class VCTKConfig(CorpusConfig):
    """VCTK 0.92.

    microphones: which of its recordings of each sentence; those of one sentence share a split.
    """

    microphones: tuple[Literal["mic1", "mic2"], ...] = field(
        default=("mic1",), validator=_not_empty
    )


@frozen(kw_only=True)
class LibriTTSConfig(CorpusConfig):
    """LibriTTS and LibriTTS-R.

    Where dev-* or test-* are among the subsets, the published splits are kept, each with speakers of
    its own. With train-* alone, the splits are shared out as `[data.splits]` says, which is what a
    model needs that knows its speakers by name.

    subsets: the folders to read, such as "train-clean-360".
    text: which of the two transcripts: numbers written out or as they were printed.
    """

    subsets: tuple[str, ...] = field(default=("train-clean-100",), validator=_not_empty)
    text: Literal["normalized", "original"] = "normalized"


@frozen(kw_only=True)
class HiFiTTSConfig(CorpusConfig):
    """Hi-Fi TTS. Its published splits are kept, which have the same speakers.

    parts: which of its recordings, by the noise in them.
    text: which of its transcripts: numbers written out or as they were printed.
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
    max_seconds: chapters are cut between stretches of speech, as the files beside them tell those, into
        utterances of no more than this.
    """

    language: str | None = "en-us"
    subsets: tuple[str, ...] = field(default=("small",), validator=_not_empty)
    max_seconds: float = field(default=20.0, validator=validators.ge(1))


@frozen(kw_only=True)
class SongsConfig(CorpusConfig):
    """What corpora of songs have. What one singer sings of one song is never divided by the splits.

    golden: songs that are set apart for listening, in the split golden_test; by default those that the
        recipes of Amphion hold out, so that results can be compared. None of them with `golden = []`.
    """

    golden: tuple[str, ...] = ()


@frozen(kw_only=True)
class CSDConfig(SongsConfig):
    """The Children's Song Dataset: one singer, two languages. `golden` names songs: "en004".

    languages: the folders to read; `language` is that of the folder unless it is set.
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

    styles: what to read of it.
    max_seconds: recordings are cut at their silences, and where that does not make them shorter than
        this, at their quietest places.
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

    languages: the folders to read; what is sung in "chinese" is Mandarin unless `language` is set.
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

    styles: what to read of it.
    max_seconds: longer recordings are cut as those of `NUS48EConfig`; their parts have no text.
    """

    language: str | None = "ja"
    styles: tuple[Literal["song", "speech"], ...] = field(
        default=("song", "speech"), validator=_not_empty
    )
    max_seconds: float = field(default=20.0, validator=validators.ge(1))
    golden: tuple[str, ...] = ("pjs001", "pjs002", "pjs003")


@frozen(kw_only=True)
class PopBuTFyConfig(SongsConfig):
    """PopBuTFy: English songs, each sung as an amateur and as a professional would.

    `golden`: "Female1#you_are_my_sunshine", in both manners.
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
    """A voice of the Festvox project: `wav/`, `etc/txt.done.data` and, where it is there, `lab/`.

    stress_mark: a character that stands before the stressed vowel in the transcripts ("+" in Debian's
        festvox-ru); it becomes an acute accent on the vowel. A phonemizer would read it aloud: "plus".
    """

    stress_mark: str | None = field(
        default=None, validator=validators.optional([_not_empty, validators.max_len(1)])
    )


@frozen(kw_only=True)
class AsteriskConfig(CorpusConfig):
    """Prompts of the Asterisk telephone exchange, one speaker a folder.

    root: the folder of one speaker, such as `sounds/en_US_f_Allison`.
    transcripts: a file of lines `path: text`, which may be gzipped; seen from `root`.
    """

    transcripts: str = "/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
