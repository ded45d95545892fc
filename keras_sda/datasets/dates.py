"""Dates as days since 1970, and the ways in which text writes them."""

import datetime
import math
import re
from collections.abc import Iterable
from typing import Any

SECONDS_A_DAY = 86_400.0

_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MONTHS: tuple[str, ...] = ("january", "february", "march", "april", "may", "june", "july")
_MONTHS += ("august", "september", "october", "november", "december")

_TIME = r"(?:(?: +|T)(?P<time>\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?) ?(?P<half>[AP]M)?)?"
_YEAR_FIRST = re.compile(r"(?P<year>\d{4})[/.](?P<month>\d{1,2})[/.](?P<day>\d{1,2})" + _TIME, re.I)
_IN_WORDS = re.compile(
    r"(?:(?P<day>\d{1,2})[ -](?P<word>[a-z]{3,9})[ -]|(?P<word2>[a-z]{3,9}) (?P<day2>\d{1,2}), )"
    r"(?P<year>\d{4})" + _TIME,
    re.I,
)
# The day is first between dots; otherwise countries differ.
_YEAR_LAST = re.compile(
    r"(?P<one>\d{1,2})(?P<mark>[/.-])(?P<two>\d{1,2})(?P=mark)(?P<year>\d{4})" + _TIME, re.I
)


def as_days(item: Any) -> float:
    """Returns a date, or a date and time, as days since 1970 (UTC unless it has a time zone)."""
    if not isinstance(item, datetime.datetime):
        item = datetime.datetime(item.year, item.month, item.day)
    if item.tzinfo is None:
        item = item.replace(tzinfo=datetime.UTC)
    return (item - _EPOCH).total_seconds() / SECONDS_A_DAY


def parse_date(text: str, day_first: bool | None = None) -> float:
    """Returns the days since 1970 of a date such as 2026-01-31, 31.1.2026 or 31 Jan 2026.

    Each may have a time behind it. Of 1/2/2026 and 1-2-2026, `day_first` says what comes first.

    Raises:
        ValueError: If it is not a date, or nothing says whether its day or its month is first.

    >>> parse_date("1970-01-02"), parse_date("2.1.1970 18:00"), parse_date("Jan 2, 1970 6:00 PM")
    (1.0, 1.75, 1.75)
    """
    if len(text) >= len("2026-01-31") and text[4] == text[7] == "-":
        return as_days(datetime.datetime.fromisoformat(text))
    found = _YEAR_FIRST.fullmatch(text)
    if found:
        return _days(found, found["month"], found["day"])
    found = _IN_WORDS.fullmatch(text)
    if found:
        return _days(found, _month(found["word"] or found["word2"]), found["day"] or found["day2"])
    found = _YEAR_LAST.fullmatch(text)
    if found and found["mark"] == ".":
        return _days(found, found["two"], found["one"])
    if not found or day_first is None:
        raise ValueError("not a date of which day and month are certain")
    day, month = (found["one"], found["two"]) if day_first else (found["two"], found["one"])
    return _days(found, month, day)


def day_comes_first(texts: Iterable[str | None]) -> bool | None:
    """Whether dates such as 31/1/2026 have the day first; `None` if none of them shows it.

    The largest number in each place tells: none but a day is above 12.
    """
    found = [_YEAR_LAST.fullmatch(text) for text in texts if text is not None]
    pairs = [(int(each["one"]), int(each["two"])) for each in found if each is not None]
    largest = [max(numbers) for numbers in zip(*pairs, strict=True)]
    if not largest or (largest[0] > 12) == (largest[1] > 12):
        return None
    return largest[0] > 12


def _month(word: str) -> int:
    """Returns the number of a month, given its English name or the first three letters of it."""
    names = [name for name in _MONTHS if word.lower() in (name, name[:3])]
    if not names:
        raise ValueError(f"{word} is not a month")
    return 1 + _MONTHS.index(names[0])


def _days(found: re.Match[str], month: str | int, day: str) -> float:
    hour, minute, second = [*map(float, (found["time"] or "0").split(":")), 0, 0][:3]
    if found["half"]:
        if not 1 <= hour <= 12:
            raise ValueError("the hours of half a day are 1 to 12")
        hour = hour % 12 + (12 if found["half"].lower() == "pm" else 0)
    if second >= 60:
        raise ValueError("the seconds of a minute are below 60")
    date = datetime.datetime(int(found["year"]), int(month), int(day), int(hour), int(minute))
    return as_days(date + datetime.timedelta(seconds=second))


def date_text(days: float) -> str:
    """Returns a day since 1970 as ISO 8601 writes it, with the time if there is one.

    >>> date_text(0.0), date_text(20484.25)
    ('1970-01-01', '2026-01-31T06:00:00')
    """
    moment = to_datetime(days)
    return moment.date().isoformat() if days == math.floor(days) else moment.isoformat()


def to_datetime(days: float) -> datetime.datetime:
    """Returns a day since 1970 as a date and time without a time zone, in whole seconds."""
    seconds = round(days * SECONDS_A_DAY)
    return (_EPOCH + datetime.timedelta(seconds=seconds)).replace(tzinfo=None)
