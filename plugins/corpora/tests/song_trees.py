"""A small folder in the real layout of each singing corpus."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import soundfile
from corpus_trees import RATE, Tree, append, copied, phrases, record, tone, write


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


def two_spellings(root: Path) -> None:
    """Two folders whose names differ only in a space, so that the ids of their songs collide."""
    for spelled in ("pjs 9", "pjs_9"):
        (root / "PJS_corpus_ver1.1" / spelled).mkdir(parents=True)


_SUNSHINE = "Female1#singing#you_are_my_sunshine"

SONGS = {
    "csd": Tree(
        write=csd,
        utterances={
            f"{song}_000{n}": (None, text, None)
            for song in ("en001a", "en001b", "kr001a")
            for n, text in enumerate(("t_w_i_ng k_eo_l", "l_i t_eo_l s_t_a_r"))
        },
        languages={"en-us", "ko"},
        required=("korean/csv", "english/wav", "english/txt"),
        listings=("english/csv/en001a.csv", "english/txt/en001a.txt"),
        recording="english/wav/en001a.wav",
        double=lambda root: shutil.copytree(root / "english", root / "korean", dirs_exist_ok=True),
    ),
    "kising": Tree(
        write=kising,
        utterances={
            "421_0001": (None, "", "golden_test"),
            "421_0002": (None, "", "golden_test"),
            "422_0001": (None, "", None),
        },
        languages={"cmn"},
        required=("clean",),
        recording="clean/422/0001.wav",
        lists_missing=False,
        double=copied("clean/422/0001.wav", "clean/4 3/0001.wav", "clean/4_3/0001.wav"),
    ),
    "m4singer": Tree(
        write=m4singer,
        utterances={
            "Alto-1#美错#0000": ("Alto-1", "美错", "golden_test"),
            "Alto-1#美错#0001": ("Alto-1", "你", "golden_test"),
            "Tenor-2#My_Love#0000": ("Tenor-2", "我的爱", None),
            "Bass-1#南风#0000": ("Bass-1", "南风", None),
        },
        languages={"cmn"},
        required=("meta.json",),
        listings=("meta.json",),
        recording="Tenor-2#My-Love/0000.wav",
        double=lambda root: write(
            root / "meta.json",
            json.dumps([*json.loads((root / "meta.json").read_text("utf-8"))] * 2),
        ),
    ),
    "nus48e": Tree(
        write=nus48e,
        utterances={
            f"{singer}_{style}_{song}_000{n}": (singer, "", split)
            for singer, song, split in (("ADIZ", "01", "golden_test"), ("JLEE", "15", None))
            for style in ("read", "sing")
            for n in range(2)
        },
        languages={"en-us"},
        required=("JLEE/read",),
        recording="JLEE/sing/15.wav",
        double=copied(
            "JLEE/sing/15.wav",
            "A Z/sing/1.wav",
            "A Z/read/1.wav",
            "A_Z/sing/1.wav",
            "A_Z/read/1.wav",
        ),
    ),
    "opencpop": Tree(
        write=opencpop,
        utterances={
            "2001000001": (None, "感受", None),
            "2002000001": (None, "我家", None),
            "2044000001": (None, "小巷", "test"),
        },
        languages={"cmn"},
        required=("segments/wavs", "segments/test.txt"),
        listings=("segments/train.txt", "segments/test.txt"),
        recording="segments/wavs/2002000001.wav",
        double=lambda root: append(root / "segments/test.txt", root / "segments/train.txt"),
    ),
    "opensinger": Tree(
        write=opensinger,
        utterances={
            "Man_0_大鱼_0": ("Man_0", "歌词0", "golden_test"),
            "Man_0_大鱼_1": ("Man_0", "歌词1", "golden_test"),
            "Man_1_a_b_0": ("Man_1", "歌词0", None),
            "Woman_0_南风_0": ("Woman_0", "歌词0", None),
        },
        languages={"cmn"},
        required=("WomanRaw",),
        recording="ManRaw/1_a_b/1_a_b_0.wav",
        double=copied("ManRaw/1_a_b/1_a_b_0.wav", "ManRaw/1_a/1_a_b_0.wav"),
    ),
    "opera": Tree(
        write=opera,
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
        required=("monophonic/western",),
        recording="monophonic/chinese/male_03/pos_1.wav",
        lists_missing=False,
        double=copied(
            "monophonic/chinese/male_03/pos_1.wav",
            "monophonic/western/male 1/pos_1.wav",
            "monophonic/western/male_1/pos_1.wav",
        ),
    ),
    "pjs": Tree(
        write=pjs,
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
        required=("PJS_corpus_ver1.1",),
        recording="PJS_corpus_ver1.1/pjs004/pjs004_song.wav",
        double=two_spellings,
    ),
    "popbutfy": Tree(
        write=popbutfy,
        utterances={
            f"{_SUNSHINE}_Professional_0": ("Female1", "", "golden_test"),
            f"{_SUNSHINE}_Professional_1": ("Female1", "", "golden_test"),
            f"{_SUNSHINE}_Amateur_0": ("Female1", "", "golden_test"),
            "Male3#singing#Lemon_Tree_Amateur_0": ("Male3", "i wonder how", None),
        },
        languages={"en-us"},
        required=("data",),
        recording="data/Male3#singing#Lemon_Tree_Amateur/Male3#singing#Lemon_Tree_Amateur_0.mp3",
        lists_missing=False,
        double=lambda root: record(
            root / "data" / f"{_SUNSHINE}_Amateur" / f"{_SUNSHINE}_Amateur_0.wav"
        ),
    ),
    "popcs": Tree(
        write=popcs,
        utterances={
            "虫儿飞_0000": (None, "虫儿飞", "golden_test"),
            "万有引力_0000": (None, "万有引力", None),
            "万有引力_0001": (None, "万有引力", None),
        },
        languages={"cmn"},
        required=("popcs",),
        recording="popcs/popcs-万有引力/0001_wf0.wav",
        double=copied(
            "popcs/popcs-万有引力/0001_wf0.wav",
            "popcs/popcs-a b/0000_wf0.wav",
            "popcs/popcs-a_b/0000_wf0.wav",
        ),
    ),
}
