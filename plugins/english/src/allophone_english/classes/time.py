"""TIME: of the day, and how long something took."""

from __future__ import annotations

import re

from allophone_english import numbers
from allophone_english.context import begins_times, has_zone, is_duration, is_ratio
from allophone_english.patterns import HALF_DAY, with_point
from allophone_english.tokens import DIGIT, Kind, Rule, Scene


def _time(match: re.Match[str], scene: Scene) -> str | None:
    hour, minute, second = match["hour"], match["minute"], match["second"]
    if is_ratio(match, scene):
        return None
    if second and not match["half"] and is_duration(scene):
        return _duration(hour, minute, second)
    if int(hour) > 24 and not second and not match["fraction"] and minute[0] == "0":
        # "60:00" is no time of the day, and is how long something takes.
        return f"{_plain(hour)} minutes" + (f" and {_plain(minute)} seconds" if int(minute) else "")
    return _half_day(_clock(hour, minute, second, match, scene), match, scene)


def _clock(hour: str, minute: str, second: str | None, match: re.Match[str], scene: Scene) -> str:
    said = _plain(hour)
    if int(minute):
        said += f" {'oh ' if minute[0] == '0' else ''}{_plain(minute)}"
    elif second:
        said += " oh oh"
    elif not match["half"]:
        if int(hour) == 0 or int(hour) > 12:
            said += " hundred"
        elif not begins_times(match, scene):
            said += " o'clock"
    if second:
        said += f" and {_plain(second)}"
        if match["fraction"]:
            said += f" point {numbers.digit_by_digit(match['fraction'])}"
        said += " second" if int(second) == 1 and not match["fraction"] else " seconds"
    return said


def _plain(digits: str) -> str:
    return numbers.cardinal(digits.lstrip("0") or "0")


def _duration(hours: str, minutes: str, seconds: str) -> str:
    parts = [
        f"{_plain(count)} {unit}{'' if int(count) == 1 else 's'}"
        for count, unit in ((hours, "hour"), (minutes, "minute"), (seconds, "second"))
        if int(count)
    ]
    return " and ".join(filter(None, [" ".join(parts[:-1]), *parts[-1:]]))


def _half_day(said: str, match: re.Match[str], scene: Scene) -> str:
    if not match["half"]:
        return said
    said += f" {match['half'][0].upper()}M"
    return said if has_zone(match, scene) else with_point(said, match)


def _hour(match: re.Match[str], scene: Scene) -> str:
    return _half_day(numbers.cardinal(match[1]), match, scene)


def _hours_and_minutes(match: re.Match[str], scene: Scene) -> str:
    """ "15h30"."""
    if not int(match[2]):
        return f"{_plain(match[1])} hundred"
    return f"{_plain(match[1])} {'oh ' if match[2][0] == '0' else ''}{_plain(match[2])}"


def _military(match: re.Match[str], scene: Scene) -> str:
    """ "0800 hours"."""
    hour, minute = match[1], match[2]
    said = ("oh " if hour[0] == "0" else "") + _plain(hour)
    return f"{said} {_plain(minute) if int(minute) else 'hundred'}"


RULES = (
    Rule(
        "5:30 p.m.",
        Kind.TIME,
        DIGIT,
        rf"(?P<hour>[01]?\d|2[0-4])(?::(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d)(?:[.,](?P<fraction>\d{{1,3}}))?)?"
        rf"(?:[ ]?(?P<half>{HALF_DAY}))?)(?![:\d]|[a-z]|[A-Z]\b)",
        _time,
    ),
    Rule(
        "7.30pm",
        Kind.TIME,
        DIGIT,
        rf"(?P<hour>1[0-2]|0?[1-9])\.(?P<minute>[0-5]\d)(?P<second>)(?P<fraction>)[ ]?(?P<half>{HALF_DAY})(?!\w)",
        _time,
    ),
    Rule(
        "45:30",
        Kind.TIME,
        DIGIT,
        r"(?P<hour>2[5-9]|[3-9]\d|1\d\d):(?P<minute>[0-5]\d)(?P<second>)(?P<fraction>)(?P<half>)(?![:\w])",
        _time,
    ),
    Rule("9am", Kind.TIME, DIGIT, rf"(1[0-2]|0?[1-9])[ ]?(?P<half>{HALF_DAY})(?!\w)", _hour),
    Rule(
        "1030 am",
        Kind.TIME,
        DIGIT,
        rf"(?P<hour>1[0-2]|0?[1-9])(?P<minute>[0-5]\d)(?P<second>)(?P<fraction>)[ ]?(?P<half>{HALF_DAY})(?!\w)",
        _time,
    ),
    Rule("15h30", Kind.TIME, DIGIT, r"([01]?\d|2[0-4])h([0-5]\d)(?!\w)", _hours_and_minutes),
    Rule(
        "0800 hours",
        Kind.TIME,
        DIGIT,
        r"([01]\d|2[0-4])([0-5]\d)(?=[ ](?:hours|hrs|shift)\b)",
        _military,
    ),
)
