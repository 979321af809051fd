"""Scoring of sources, and the three forms of the report."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser

import pytest
from attrs import evolve
from evaluate_toys import MOOD, Tone, evaluated, items, opened, report_of
from rich.console import Console

from allophone.audio.files import write_audio
from allophone.errors import UserError
from allophone_evaluate.charts import plot
from allophone_evaluate.items import Recording, items_of_folder, with_references
from allophone_evaluate.opening import chosen_score, scores_of
from allophone_evaluate.page import write_page
from allophone_evaluate.report import write_json
from allophone_evaluate.sources import FolderSource
from allophone_evaluate.table import show
from allophone_testing.corpus import synthetic_speech

TEXTS = ("good morning", "hello", "the sun rose", "ab")


def printed(report):
    console = Console(file=io.StringIO(), width=160)
    for part in show(report):
        console.print(part)
    return console.file.getvalue()


def test_a_voice_that_cannot_speak_a_text_is_counted_and_named(tmp_path):
    sources = [Tone("anna"), Tone("boris <b>", cannot={"u1", "u3"})]
    metrics = opened("speed", "speaking-rate")
    evaluation = evaluated(sources, items(*TEXTS), metrics, tmp_path)
    report = report_of(evaluation, metrics)
    assert report["voices"]["anna"]["rtf"]["n"] == 4
    assert report["voices"]["boris <b>"]["rtf"]["n"] == 2
    assert [(one["voice"], one["id"], one["metric"]) for one in report["failures"]] == [
        ("boris <b>", "u1", None),
        ("boris <b>", "u3", None),
    ]
    assert {one["n"] for one in report["comparisons"]} == {2}
    shown = printed(report)
    assert "boris <b>: 2 utterances failed:" in shown
    assert "u1: 'u1' has a symbol that is unknown." in shown
    assert "Left out: mos: not <installed>." in shown


def test_a_metric_that_fails_costs_its_own_score_alone(tmp_path):
    metrics = [MOOD, *opened("pauses")]
    given = items("happy", "angry", "asleep", "gay")
    report = report_of(evaluated([Tone("anna")], given, metrics, tmp_path), metrics)
    moods = [one["scores"]["mood"] for one in report["utterances"]]
    assert moods == [5, None, None, 3]
    assert [one["scores"]["pauses"] for one in report["utterances"]] == [0] * 4
    assert report["voices"]["anna"]["mood"]["mean"] == 4
    (failure,) = report["failures"]
    assert (failure["id"], failure["metric"]) == ("u1", "mel-distance")
    assert "OSError: no such mood" in failure["reason"]


def test_the_report_has_means_intervals_comparisons_and_rows(tmp_path):
    metrics = opened("speaking-rate", "speed")
    sources = [Tone("slow", seconds=0.2), Tone("fast")]
    report = report_of(evaluated(sources, items(*TEXTS), metrics, tmp_path), metrics)
    write_json(report, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text("utf-8")) == report
    slow, fast = (report["voices"][name]["rtf"] for name in ("slow", "fast"))
    assert slow == pytest.approx({"mean": 0.05, "low": 0.05, "high": 0.05, "n": 4})
    assert fast["mean"] == pytest.approx(0.1)
    compared = {one["score"]: one for one in report["comparisons"]}
    assert compared["rtf"]["difference"] == pytest.approx(0.05)
    assert (compared["rtf"]["first"], compared["rtf"]["second"]) == ("slow", "fast")
    assert compared["rtf"]["p"] == pytest.approx(2 / 16, abs=0.08)
    assert compared["speaking_rate"]["difference"] > 4
    row = report["utterances"][0]
    assert (row["voice"], row["id"], row["text"]) == ("slow", "u0", "good morning")
    assert row["seconds"] == pytest.approx(2.4)
    assert report["settings"]["seed"] == 0
    assert report["settings"]["metrics"]["speaking-rate"] == {"threshold_db": 40.0}


class Page(HTMLParser):
    """What a page refers to, and whether its elements are closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.plots = [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.plots += tag == "svg"
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        del tag, attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_plays_the_worst_utterances_and_loads_nothing(tmp_path):
    recording = tmp_path / "reference.wav"
    write_audio(recording, synthetic_speech("hello.", pitch=110, sample_rate=8000, seed=0), 8000)
    given = [evolve(one, reference=Recording(path=recording)) for one in items("a<b>", *TEXTS)]
    metrics = [MOOD, *opened("speed")]
    evaluation = evaluated([Tone("anna <i>"), Tone("boris")], given, metrics, tmp_path / "audio")
    path = tmp_path / "report.html"
    write_page(report_of(evaluation, metrics), evaluation, path, ranked_by="mood", worst=2)
    text = path.read_text("utf-8")
    page = Page(text)
    assert not page.open
    assert page.plots == 3
    assert len(page.sources) == 2 * 2 * 2
    assert all(source.startswith("data:audio/wav;base64,") for source in page.sources)
    assert not re.search(r"https?://", text)
    worst = text.partition("worst utterances")[2].partition("Settings")[0]
    assert re.findall(r"<td>(u\d)<br>", worst) == ["u4", "u0"] * 2, "shortest texts have least mood"
    assert "a&lt;b&gt;" in worst
    assert "anna &lt;i&gt;" in worst
    assert "not &lt;installed&gt;." in text


def test_utterances_are_ranked_by_a_score_that_has_a_best_value():
    scores = scores_of(opened("pauses", "speaking-rate", "speed"))
    assert chosen_score(None, scores) == "rtf"
    assert chosen_score("first_audio", scores) == "first_audio"
    assert chosen_score(None, scores_of(opened("pauses"))) is None
    with pytest.raises(UserError, match="cannot be ranked by 'pauses'"):
        chosen_score("pauses", scores)


def test_a_plot_has_a_dot_per_utterance_and_a_line_per_voice():
    estimate = {"mean": 2.0, "low": 1.5, "high": 2.5}
    drawn = plot({"a & b": (estimate, [1.0, 3.0]), "c": ({**estimate, "low": None}, [2.0])})
    assert drawn.count("<circle") == 3
    assert drawn.count('class="mean"') == 2
    assert drawn.count('class="interval"') == 1
    assert "a &amp; b" in drawn
    assert plot({"a": ({"mean": None, "low": None, "high": None}, [])}) == ""
    assert "nan" not in plot({"a": (estimate, [2.0, 2.0])})


def test_metrics_that_cannot_be_used_are_refused():
    with pytest.raises(UserError, match="'mcd' cannot be used: it compares with recordings"):
        opened("mcd")
    with pytest.raises(UserError, match="Did you mean 'mcd'"):
        opened("mdc")
    assert [one.entry.name for one in opened("f0", "mcd", references=True)] == ["f0", "mcd"]


@pytest.fixture
def recordings(tmp_path):
    folder = tmp_path / "recordings"
    for number in range(2):
        samples = synthetic_speech("hello sea.", pitch=110, sample_rate=8000, seed=number)
        write_audio(folder / f"u{number}.wav", samples, 8000)
    return folder


def test_a_folder_is_identical_to_itself(recordings, tmp_path):
    metrics = opened("mcd", "f0", "mel-distance", references=True)
    given = items_of_folder(recordings)
    report = report_of(evaluated([FolderSource(recordings)], given, metrics, tmp_path), metrics)
    means = {name: one["mean"] for name, one in report["voices"]["recordings"].items()}
    assert means == pytest.approx(
        {"mcd": 0, "f0_rmse": 0, "f0_correlation": 1, "voicing_error": 0, "mel_distance": 0}
    )
    assert report["failures"] == []


def test_files_that_are_missing_are_named(recordings, tmp_path):
    given = items("a", "b", "c")
    with pytest.raises(UserError, match="no recording for 1 of 3 texts: u2"):
        with_references(given, recordings)
    evaluation = evaluated([FolderSource(recordings)], given, opened("pauses"), tmp_path)
    (failure,) = evaluation.failures
    assert failure.id == "u2"
    assert "has no file for 'u2'" in failure.reason


def test_a_folder_must_have_one_recording_of_a_name(recordings, tmp_path):
    (recordings / "u1.flac").touch()
    with pytest.raises(UserError, match=r"two recordings named 'u1': u1.flac and u1.wav"):
        items_of_folder(recordings)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no recordings"):
        items_of_folder(tmp_path / "empty")
