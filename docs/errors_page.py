"""Makes the page "What errors mean" of the table of bad inputs in `tests/bad_inputs.py`."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
INTRODUCTION = """\
# What errors mean

What is wrong with an input is said in one sentence, before training starts: what was expected,
what came, and what to do. A `ValueError` means that an argument or the data do not fit, a
`FloatingPointError` that a loss became NaN or infinite in training; weights are then what they
were before. Below are all causes that the tests know of, each with a call and its answer, and with
the remedy. The tests make {lines:,} such calls of {entries} entries and commands.
"""


def errors_page() -> str:
    """Returns the page: each cause with its remedy, and what one call with it is answered."""
    sys.path.insert(0, str(ROOT / "tests"))
    try:
        from bad_inputs import CAUSES
        from bad_inputs_more import table
    finally:
        sys.path.pop(0)
    every = table()
    entries = {bad.entry for bad in every}
    lines = [INTRODUCTION.format(lines=len(every), entries=len(entries))]
    for group in dict.fromkeys(cause.group for cause in CAUSES.values()):
        lines += [f"## {group}", ""]
        for key, cause in CAUSES.items():
            found = [bad for bad in every if bad.cause == key]
            if cause.group == group and found:
                lines += _section(cause, found)
    return "\n".join(lines)


def _section(cause, found):
    """Returns the lines on a cause."""
    bad = found[0]
    count = len({each.entry for each in found})
    return [
        f"### {cause.title}",
        "",
        f"{cause.remedy} ({count} {'entry is' if count == 1 else 'entries are'} tested with it.)",
        "",
        "```text",
        bad.shown if bad.shown.startswith("keras-sda") else f"{bad.entry}: {bad.shown}",
        _answer(bad),
        "```",
        "",
    ]


def _answer(bad):
    """Returns what a call is answered."""
    try:
        bad.call()
    except Exception as error:  # whatever it is: tests say what it has to be
        return " ".join(str(error).split()).replace(f"{ROOT}/", "")
    raise AssertionError(f"{bad.entry} takes {bad.shown}")
