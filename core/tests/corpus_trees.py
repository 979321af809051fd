"""A little tree of the true layout of each corpus that is downloaded, to read in tests.

Every recording is a tone of half a second, those that are cut have a pause of a second between two.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from attrs import field, frozen

RATE = 8000


def tone(seconds: float = 0.5, *, rate: int = RATE) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * 220 * np.arange(round(seconds * rate)) / rate)


def record(path: Path, samples: np.ndarray | None = None, *, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(rate=rate) if samples is None else samples, rate)
    return path


def phrases(*seconds: float) -> np.ndarray:
    """Tones with a second of silence before, between and after them."""
    pause = np.zeros(RATE)
    return np.concatenate([pause, *(part for s in seconds for part in (tone(s), pause))])


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@frozen(kw_only=True)
class Tree:
    """How a corpus lies on disk.

    plant: writes it into a folder.
    table: what its table in an experiment has beside type and root.
    utterances: what is to be read of it: by id the speaker, the text and the split.
    languages: of these utterances.
    needed: a file or folder in it that its reader cannot do without.
    listed: a file of it that may not be empty, where a list belongs to it.
    recording: one of its recordings, and `heard` an utterance that is lost with it.
    double: adds a second utterance of an id to it.
    """

    plant: Callable[[Path], None]
    table: dict[str, Any] = field(factory=dict)
    utterances: dict[str, tuple[str | None, str, str | None]]
    languages: set[str | None]
    needed: str
    listed: str | None = None
    recording: str
    heard: str
    double: Callable[[Path], object]

    def utterances_by_split(self, split: str | None) -> list[str]:
        return [id for id, (_, _, own) in self.utterances.items() if own == split]


def append(path: Path, source: Path | None = None) -> None:
    """Add the first line of a list (or of another) to its end."""
    line = (source or path).read_text(encoding="utf-8").split("\n")[0]
    path.write_text(path.read_text(encoding="utf-8").rstrip("\n") + "\n" + line, encoding="utf-8")


def ljspeech(root: Path) -> None:
    lines = [f"LJ001-000{n}|Chapter {n}.|Chapter {word}." for n, word in ((1, "one"), (2, "two"))]
    write(root / "metadata.csv", "\n".join(lines))
    for n in (1, 2):
        record(root / f"wavs/LJ001-000{n}.wav")


def vctk(root: Path) -> None:
    for speaker, microphones in (("p225", 2), ("p280", 1), ("s5", 2)):
        write(root / f"txt/{speaker}/{speaker}_001.txt", "Please call Stella.\n")
        for microphone in range(1, microphones + 1):
            record(root / f"wav48_silence_trimmed/{speaker}/{speaker}_001_mic{microphone}.flac")
    record(root / "wav48_silence_trimmed/p315/p315_001_mic1.flac")
    write(root / "speaker-info.txt", "ID  AGE  GENDER\n")
    write(root / "update.txt", "")


def libritts(root: Path) -> None:
    for subset, name in (
        ("train-clean-100", "103_1240_000000_000001"),
        ("train-clean-100", "103_1241_000000_000001"),
        ("dev-clean", "84_121123_000007_000001"),
        ("test-clean", "61_70968_000000_000000"),
    ):
        speaker, chapter, *_ = name.split("_")
        recording = record(root / subset / speaker / chapter / f"{name}.wav")
        write(recording.with_suffix(".normalized.txt"), "Doctor who.")
        write(recording.with_suffix(".original.txt"), "Dr. who.")
    write(root / "speakers.tsv", "READER\tGENDER\tSUBSET\tNAME\n")


def hifitts(root: Path) -> None:
    for manifest, names in (
        ("92_manifest_clean_train", ["shiftyeyes_01_0001", "shiftyeyes_01_0002"]),
        ("92_manifest_clean_dev", ["shiftyeyes_02_0001"]),
        ("92_manifest_clean_test", ["shiftyeyes_03_0001"]),
        ("11614_manifest_other_train", ["prideofjennico_01_0000"]),
    ):
        speaker, _, part, _ = manifest.split("_")
        lines = []
        for name in names:
            path = f"audio/{speaker}_{part}/10547/{name}.flac"
            record(root / path)
            texts = {"text": "mr fox", "text_no_preprocessing": "Mr. Fox"}
            line = {"audio_filepath": path, "duration": 0.5, "text_normalized": "Mister Fox"}
            lines.append(json.dumps(line | texts))
        write(root / f"{manifest}.json", "\n".join(lines) + "\n")


def librilight(root: Path) -> None:
    for subset, speaker in (("small", "100"), ("small", "1001"), ("medium", "204")):
        book = root / subset / speaker / "sea_fairies_0812_librivox_64kb_mp3"
        record(book / "01_baum_sea_fairies_64kb.flac", phrases(2, 3, 9))
        told = {"speaker": speaker, "voice_activity": [[1, 3], [4, 7], [8, 17]]}
        write(book / "01_baum_sea_fairies_64kb.json", json.dumps(told))


def csd(root: Path) -> None:
    for language, song, start in (
        ("english", "en001a", 0.05),
        ("english", "en001b", 1.0),
        ("korean", "kr001a", 1.0),
    ):
        folder = root / language
        record(folder / f"wav/{song}.wav", tone(5))
        write(folder / f"txt/{song}.txt", "t_w_i_ng k_eo_l\n\nl_i t_eo_l s_t_a_r\n")
        syllables = ("t_w_i_ng", "k_eo_l", "l_i", "t_eo_l", "s_t_a_r")
        rows = [
            f"{start + n * 0.5},{start + n * 0.5 + 0.4},60,{syllable}"
            for n, syllable in enumerate(syllables)
        ]
        write(folder / f"csv/{song}.csv", "\n".join(["start,end,pitch,syllable", *rows]))
        write(folder / f"lyric/{song}.txt", "twinkle\nlittle star\n")


def kising(root: Path) -> None:
    for song, name in (("421", "0001"), ("421", "0002"), ("422", "0001")):
        record(root / "clean" / song / f"{name}.wav")


def m4singer(root: Path) -> None:
    entries = []
    for folder, name, text in (
        ("Alto-1#美错", "0000", "美错"),
        ("Alto-1#美错", "0001", "你"),
        ("Tenor-2#My-Love", "0000", "我的爱"),
        ("Bass-1#南风", "0000", "南风"),
    ):
        record(root / folder / f"{name}.wav")
        for suffix in (".mid", ".TextGrid"):
            write(root / folder / f"{name}{suffix}", "")
        item = f"{folder}#{name}".replace("My-Love", "My Love")
        entries.append({"item_name": item, "txt": text, "phs": ["a"], "notes": [60]})
    write(root / "meta.json", json.dumps(entries, ensure_ascii=False))


def nus48e(root: Path) -> None:
    for singer, style, song in (
        ("ADIZ", "read", "01"),
        ("ADIZ", "sing", "01"),
        ("JLEE", "read", "15"),
        ("JLEE", "sing", "15"),
    ):
        record(root / singer / style / f"{song}.wav", phrases(1, 2))
        write(root / singer / style / f"{song}.txt", "0.0 1.0 sil\n1.0 2.0 ay\n")
    write(root / "README.txt", "")


def opencpop(root: Path) -> None:
    lines = {
        "train": ["2001000001|感受|g an|G4|0.4", "2002000001|我家|w o|A4|0.4"],
        "test": ["2044000001|小巷|x iao|G4|0.4"],
    }
    for name, listed in lines.items():
        write(root / f"segments/{name}.txt", "\n".join(listed) + "\n")
        for line in listed:
            record(root / f"segments/wavs/{line.partition('|')[0]}.wav")
    whole = "\n".join(line for listed in lines.values() for line in listed)
    write(root / "segments/transcriptions.txt", whole)


def opensinger(root: Path) -> None:
    for folder, song, count in (
        ("ManRaw", "0_大鱼", 2),
        ("ManRaw", "1_a_b", 1),
        ("WomanRaw", "0_南风", 1),
    ):
        for n in range(count):
            recording = record(root / folder / song / f"{song}_{n}.wav")
            write(recording.with_suffix(".txt"), f"歌词{n}")
            write(recording.with_suffix(".lab"), "")


def opera(root: Path) -> None:
    for place in ("chinese/fem_01/neg_1", "chinese/male_03/pos_1", "western/fem_09/neg_1"):
        record(root / "monophonic" / f"{place}.wav", phrases(1, 2))
    (root / "polyphonic").mkdir()


def pjs(root: Path) -> None:
    songs = root / "PJS_corpus_ver1.1"
    (songs / "background_noise").mkdir(parents=True)
    for song, seconds in (("pjs001", (1,)), ("pjs004", (1,)), ("pjs005", (9, 12))):
        folder = songs / song
        record(folder / f"{song}_song.wav", phrases(*seconds))
        record(folder / f"{song}_speech.wav")
        write(folder / f"{song}.txt", "あらゆる\n現実を\n")
        for suffix in (".lab", ".mid", ".musicxml"):
            write(folder / f"{song}{suffix}", "")


def popbutfy(root: Path) -> None:
    for folder, count in (
        ("Female1#singing#you_are_my_sunshine_Professional", 2),
        ("Female1#singing#you_are_my_sunshine_Amateur", 1),
        ("Male3#singing#Lemon_Tree_Amateur", 1),
    ):
        for n in range(count):
            name = f"{folder}_{n}"
            path = root / "data" / folder / f"{name}.mp3"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, tone(), RATE, format="MP3")
    write(root / "text_labels" / "Male3#singing#Lemon_Tree_Amateur_0.txt", "i wonder how")


def popcs(root: Path) -> None:
    for song, piece in (("虫儿飞", "0000"), ("万有引力", "0000"), ("万有引力", "0001")):
        folder = root / "popcs" / f"popcs-{song}"
        record(folder / f"{piece}_wf0.wav")
        write(folder / f"{piece}.txt", f"{song}\n")
        write(folder / f"{piece}_ph.txt", "ch ong")
        write(folder / f"{piece}.TextGrid", "")
    write(root / "TERMS_OF_ACCESS", "")


def _again(folder: str, name: str, other: str) -> Callable[[Path], None]:
    """Two folders whose names differ in a space alone, with the same recording in each."""

    def double(root: Path) -> None:
        for spelled in (name, other):
            (root / folder / spelled).mkdir(parents=True)

    return double


def _copied(source: str, *places: str) -> Callable[[Path], None]:
    def double(root: Path) -> None:
        for place in places:
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_bytes((root / source).read_bytes())

    return double


_BOOK = "sea_fairies_0812_librivox_64kb_mp3"
_CHAPTER = "01_baum_sea_fairies_64kb"
_SUNSHINE = "Female1#singing#you_are_my_sunshine"

TREES = {
    "ljspeech": Tree(
        plant=ljspeech,
        utterances={
            "LJ001-0001": (None, "Chapter one.", None),
            "LJ001-0002": (None, "Chapter two.", None),
        },
        languages={None},
        needed="wavs",
        listed="metadata.csv",
        recording="wavs/LJ001-0001.wav",
        heard="LJ001-0001",
        double=lambda root: append(root / "metadata.csv"),
    ),
    "vctk": Tree(
        plant=vctk,
        table={"microphones": ["mic1", "mic2"]},
        utterances={
            "p225_001_mic1": ("p225", "Please call Stella.", None),
            "p225_001_mic2": ("p225", "Please call Stella.", None),
            "p280_001_mic1": ("p280", "Please call Stella.", None),
            "p315_001_mic1": ("p315", "", None),
            "s5_001_mic1": ("s5", "Please call Stella.", None),
            "s5_001_mic2": ("s5", "Please call Stella.", None),
        },
        languages={None},
        needed="txt",
        recording="wav48_silence_trimmed/s5/s5_001_mic2.flac",
        heard="s5_001_mic2",
        double=_copied(
            "wav48_silence_trimmed/p225/p225_001_mic1.flac",
            "wav48_silence_trimmed/p280/p225_001_mic1.flac",
        ),
    ),
    "libritts": Tree(
        plant=libritts,
        table={"subsets": ["train-clean-100", "dev-clean", "test-clean"]},
        utterances={
            "103_1240_000000_000001": ("103", "Doctor who.", "train"),
            "103_1241_000000_000001": ("103", "Doctor who.", "train"),
            "84_121123_000007_000001": ("84", "Doctor who.", "valid"),
            "61_70968_000000_000000": ("61", "Doctor who.", "test"),
        },
        languages={None},
        needed="dev-clean",
        recording="train-clean-100/103/1240/103_1240_000000_000001.wav",
        heard="103_1240_000000_000001",
        double=_copied(
            "train-clean-100/103/1240/103_1240_000000_000001.wav",
            "train-clean-100/103/1241/103_1240_000000_000001.wav",
        ),
    ),
    "hifitts": Tree(
        plant=hifitts,
        utterances={
            "92_10547_shiftyeyes_01_0001": ("92", "Mister Fox", "train"),
            "92_10547_shiftyeyes_01_0002": ("92", "Mister Fox", "train"),
            "92_10547_shiftyeyes_02_0001": ("92", "Mister Fox", "valid"),
            "92_10547_shiftyeyes_03_0001": ("92", "Mister Fox", "test"),
            "11614_10547_prideofjennico_01_0000": ("11614", "Mister Fox", "train"),
        },
        languages={"en-us"},
        needed="audio",
        listed="92_manifest_clean_dev.json",
        recording="audio/92_clean/10547/shiftyeyes_01_0002.flac",
        heard="92_10547_shiftyeyes_01_0002",
        double=lambda root: append(
            root / "92_manifest_clean_dev.json", root / "92_manifest_clean_train.json"
        ),
    ),
    "librilight": Tree(
        plant=librilight,
        table={"subsets": ["small", "medium"], "max_seconds": 8},
        utterances={
            f"{speaker}_{_BOOK}_{_CHAPTER}_000{n}": (speaker, "", None)
            for speaker in ("100", "1001", "204")
            for n in range(3)
        },
        languages={"en-us"},
        needed="medium",
        listed=f"small/100/{_BOOK}/{_CHAPTER}.json",
        recording=f"small/100/{_BOOK}/{_CHAPTER}.flac",
        heard=f"100_{_BOOK}_{_CHAPTER}_0001",
        double=_copied(f"small/100/{_BOOK}/{_CHAPTER}.flac", f"medium/100/{_BOOK}/{_CHAPTER}.flac"),
    ),
    "csd": Tree(
        plant=csd,
        utterances={
            f"{song}_000{n}": (None, text, None)
            for song in ("en001a", "en001b", "kr001a")
            for n, text in enumerate(("t_w_i_ng k_eo_l", "l_i t_eo_l s_t_a_r"))
        },
        languages={"en-us", "ko"},
        needed="korean/csv",
        listed="english/csv/en001a.csv",
        recording="english/wav/en001a.wav",
        heard="en001a_0001",
        double=lambda root: shutil.copytree(root / "english", root / "korean", dirs_exist_ok=True),
    ),
    "kising": Tree(
        plant=kising,
        utterances={
            "421_0001": (None, "", "golden_test"),
            "421_0002": (None, "", "golden_test"),
            "422_0001": (None, "", None),
        },
        languages={"cmn"},
        needed="clean",
        recording="clean/422/0001.wav",
        heard="422_0001",
        double=_copied("clean/422/0001.wav", "clean/4 3/0001.wav", "clean/4_3/0001.wav"),
    ),
    "m4singer": Tree(
        plant=m4singer,
        utterances={
            "Alto-1#美错#0000": ("Alto-1", "美错", "golden_test"),
            "Alto-1#美错#0001": ("Alto-1", "你", "golden_test"),
            "Tenor-2#My_Love#0000": ("Tenor-2", "我的爱", None),
            "Bass-1#南风#0000": ("Bass-1", "南风", None),
        },
        languages={"cmn"},
        needed="meta.json",
        listed="meta.json",
        recording="Tenor-2#My-Love/0000.wav",
        heard="Tenor-2#My_Love#0000",
        double=lambda root: write(
            root / "meta.json",
            json.dumps([*json.loads((root / "meta.json").read_text("utf-8"))] * 2),
        ),
    ),
    "nus48e": Tree(
        plant=nus48e,
        utterances={
            f"{singer}_{style}_{song}_000{n}": (singer, "", split)
            for singer, song, split in (("ADIZ", "01", "golden_test"), ("JLEE", "15", None))
            for style in ("read", "sing")
            for n in range(2)
        },
        languages={"en-us"},
        needed="JLEE/read",
        recording="JLEE/sing/15.wav",
        heard="JLEE_sing_15",
        double=_copied(
            "JLEE/sing/15.wav",
            "A Z/sing/1.wav",
            "A Z/read/1.wav",
            "A_Z/sing/1.wav",
            "A_Z/read/1.wav",
        ),
    ),
    "opencpop": Tree(
        plant=opencpop,
        utterances={
            "2001000001": (None, "感受", None),
            "2002000001": (None, "我家", None),
            "2044000001": (None, "小巷", "test"),
        },
        languages={"cmn"},
        needed="segments/wavs",
        listed="segments/train.txt",
        recording="segments/wavs/2002000001.wav",
        heard="2002000001",
        double=lambda root: append(root / "segments/test.txt", root / "segments/train.txt"),
    ),
    "opensinger": Tree(
        plant=opensinger,
        utterances={
            "Man_0_大鱼_0": ("Man_0", "歌词0", "golden_test"),
            "Man_0_大鱼_1": ("Man_0", "歌词1", "golden_test"),
            "Man_1_a_b_0": ("Man_1", "歌词0", None),
            "Woman_0_南风_0": ("Woman_0", "歌词0", None),
        },
        languages={"cmn"},
        needed="WomanRaw",
        recording="ManRaw/1_a_b/1_a_b_0.wav",
        heard="Man_1_a_b_0",
        double=_copied("ManRaw/1_a_b/1_a_b_0.wav", "ManRaw/1_a/1_a_b_0.wav"),
    ),
    "opera": Tree(
        plant=opera,
        utterances={
            f"{place}_{song}_000{n}": (place, "", split)
            for place, song, split in (
                ("chinese_fem_01", "neg_1", "golden_test"),
                ("chinese_male_03", "pos_1", None),
                ("western_fem_09", "neg_1", None),
            )
            for n in range(2)
        },
        languages={"cmn", None},
        needed="monophonic/western",
        recording="monophonic/chinese/male_03/pos_1.wav",
        heard="chinese_male_03_pos_1",
        double=_copied(
            "monophonic/chinese/male_03/pos_1.wav",
            "monophonic/western/male 1/pos_1.wav",
            "monophonic/western/male_1/pos_1.wav",
        ),
    ),
    "pjs": Tree(
        plant=pjs,
        utterances={
            "pjs001_song": (None, "あらゆる 現実を", "golden_test"),
            "pjs001_speech": (None, "あらゆる 現実を", "golden_test"),
            "pjs004_song": (None, "あらゆる 現実を", None),
            "pjs004_speech": (None, "あらゆる 現実を", None),
            "pjs005_song_0000": (None, "", None),
            "pjs005_song_0001": (None, "", None),
            "pjs005_speech": (None, "あらゆる 現実を", None),
        },
        languages={"ja"},
        needed="PJS_corpus_ver1.1",
        recording="PJS_corpus_ver1.1/pjs004/pjs004_song.wav",
        heard="pjs004_song",
        double=_again("PJS_corpus_ver1.1", "pjs 9", "pjs_9"),
    ),
    "popbutfy": Tree(
        plant=popbutfy,
        utterances={
            f"{_SUNSHINE}_Professional_0": ("Female1", "", "golden_test"),
            f"{_SUNSHINE}_Professional_1": ("Female1", "", "golden_test"),
            f"{_SUNSHINE}_Amateur_0": ("Female1", "", "golden_test"),
            "Male3#singing#Lemon_Tree_Amateur_0": ("Male3", "i wonder how", None),
        },
        languages={"en-us"},
        needed="data",
        recording="data/Male3#singing#Lemon_Tree_Amateur/Male3#singing#Lemon_Tree_Amateur_0.mp3",
        heard="Male3#singing#Lemon_Tree_Amateur_0",
        double=lambda root: record(
            root / "data" / f"{_SUNSHINE}_Amateur" / f"{_SUNSHINE}_Amateur_0.wav"
        ),
    ),
    "popcs": Tree(
        plant=popcs,
        utterances={
            "虫儿飞_0000": (None, "虫儿飞", "golden_test"),
            "万有引力_0000": (None, "万有引力", None),
            "万有引力_0001": (None, "万有引力", None),
        },
        languages={"cmn"},
        needed="popcs",
        recording="popcs/popcs-万有引力/0001_wf0.wav",
        heard="万有引力_0001",
        double=_copied(
            "popcs/popcs-万有引力/0001_wf0.wav",
            "popcs/popcs-a b/0000_wf0.wav",
            "popcs/popcs-a_b/0000_wf0.wav",
        ),
    ),
}
