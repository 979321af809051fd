"""A small folder in the real layout of each speech corpus."""

from __future__ import annotations

import json
from pathlib import Path

from corpus_trees import Tree, append, copied, phrases, record, write


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


def festvox(root: Path) -> None:
    lines = ('( ru_0001 "Она завела прядь вол+ос" )', '( ru_0002 "Он сказал \\"да\\"." )')
    write(root / "etc/txt.done.data", "\n".join(lines))
    for n in (1, 2):
        record(root / f"wav/ru_000{n}.wav")
    write(root / "lab/ru_0001.lab", "#\n0.1 125 pau\n0.5 125 o\n")


def asterisk(root: Path) -> None:
    lines = ("; Core sounds", "activated: Activated.", "beep: [a beep]", "letters/at: at [@]")
    write(root / "core-sounds.txt", "\n".join(lines))
    for prompt in ("activated", "beep", "letters/at"):
        record(root / f"{prompt}.wav")


_BOOK = "sea_fairies_0812_librivox_64kb_mp3"
_CHAPTER = "01_baum_sea_fairies_64kb"

SPEECH = {
    "ljspeech": Tree(
        write=ljspeech,
        utterances={
            "LJ001-0001": (None, "Chapter one.", None),
            "LJ001-0002": (None, "Chapter two.", None),
        },
        languages={None},
        required=("metadata.csv", "wavs"),
        listings=("metadata.csv",),
        recording="wavs/LJ001-0001.wav",
        double=lambda root: append(root / "metadata.csv"),
    ),
    "vctk": Tree(
        write=vctk,
        options={"microphones": ["mic1", "mic2"]},
        utterances={
            "p225_001_mic1": ("p225", "Please call Stella.", None),
            "p225_001_mic2": ("p225", "Please call Stella.", None),
            "p280_001_mic1": ("p280", "Please call Stella.", None),
            "p315_001_mic1": ("p315", "", None),
            "s5_001_mic1": ("s5", "Please call Stella.", None),
            "s5_001_mic2": ("s5", "Please call Stella.", None),
        },
        languages={None},
        required=("txt", "wav48_silence_trimmed"),
        recording="wav48_silence_trimmed/p280/p280_001_mic1.flac",
        double=copied(
            "wav48_silence_trimmed/p225/p225_001_mic1.flac",
            "wav48_silence_trimmed/p280/p225_001_mic1.flac",
        ),
    ),
    "libritts": Tree(
        write=libritts,
        options={"subsets": ["train-clean-100", "dev-clean", "test-clean"]},
        utterances={
            "103_1240_000000_000001": ("103", "Doctor who.", "train"),
            "103_1241_000000_000001": ("103", "Doctor who.", "train"),
            "84_121123_000007_000001": ("84", "Doctor who.", "valid"),
            "61_70968_000000_000000": ("61", "Doctor who.", "test"),
        },
        languages={None},
        required=("dev-clean",),
        recording="train-clean-100/103/1240/103_1240_000000_000001.wav",
        lists_missing=False,
        double=copied(
            "train-clean-100/103/1240/103_1240_000000_000001.wav",
            "train-clean-100/103/1241/103_1240_000000_000001.wav",
        ),
    ),
    "hifitts": Tree(
        write=hifitts,
        utterances={
            "92_10547_shiftyeyes_01_0001": ("92", "Mister Fox", "train"),
            "92_10547_shiftyeyes_01_0002": ("92", "Mister Fox", "train"),
            "92_10547_shiftyeyes_02_0001": ("92", "Mister Fox", "valid"),
            "92_10547_shiftyeyes_03_0001": ("92", "Mister Fox", "test"),
            "11614_10547_prideofjennico_01_0000": ("11614", "Mister Fox", "train"),
        },
        languages={"en-us"},
        required=("audio",),
        listings=("92_manifest_clean_dev.json",),
        recording="audio/92_clean/10547/shiftyeyes_01_0002.flac",
        double=lambda root: append(
            root / "92_manifest_clean_dev.json", root / "92_manifest_clean_train.json"
        ),
    ),
    "librilight": Tree(
        write=librilight,
        options={"subsets": ["small", "medium"], "max_seconds": 8},
        utterances={
            f"{speaker}_{_BOOK}_{_CHAPTER}_000{n}": (speaker, "", None)
            for speaker in ("100", "1001", "204")
            for n in range(3)
        },
        languages={"en-us"},
        required=("medium",),
        listings=(f"small/100/{_BOOK}/{_CHAPTER}.json",),
        recording=f"small/100/{_BOOK}/{_CHAPTER}.flac",
        double=copied(f"small/100/{_BOOK}/{_CHAPTER}.flac", f"medium/100/{_BOOK}/{_CHAPTER}.flac"),
    ),
    "festvox": Tree(
        write=festvox,
        utterances={
            "ru_0001": (None, "Она завела прядь вол+ос", None),
            "ru_0002": (None, 'Он сказал "да".', None),
        },
        languages={None},
        required=("etc/txt.done.data", "wav"),
        listings=("etc/txt.done.data",),
        recording="wav/ru_0002.wav",
        double=lambda root: append(root / "etc/txt.done.data"),
    ),
    "asterisk": Tree(
        write=asterisk,
        options={"transcripts": "core-sounds.txt"},
        utterances={
            "activated": (None, "Activated.", None),
            "beep": (None, "", None),
            "letters_at": (None, "at", None),
        },
        languages={None},
        required=("core-sounds.txt",),
        listings=("core-sounds.txt",),
        recording="letters/at.wav",
        double=lambda root: write(
            root / "core-sounds.txt", "letters/at: at\nletters_at: at\nactivated: Activated."
        ),
    ),
}
