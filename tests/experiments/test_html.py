"""The parts of a page: what is escaped, and what goes where."""

import pages
import pytest

from keras_sda import plots
from keras_sda.experiments import html

HOSTILE = "\"><script>alert('1')</script>&amp;\x00"


def test_text_is_escaped_once_everywhere():
    figure = plots.plot_confusion([0, 1], [0, 1], ["<b>", "$&"])
    sections = [
        html.section(
            f"First {HOSTILE}",
            html.paragraph("before ", html.code(HOSTILE), HOSTILE, kind="note"),
            html.table(["name", HOSTILE], [[HOSTILE, HOSTILE]], caption=HOSTILE),
            html.facts({HOSTILE: HOSTILE}, caption=HOSTILE),
            html.folded(HOSTILE, html.block(HOSTILE)),
            html.drawn(figure, HOSTILE, HOSTILE),
        )
    ]
    lead = html.tiles([(HOSTILE, HOSTILE, HOSTILE)])
    page = pages.read(html.page(HOSTILE, lead, sections, HOSTILE))
    assert "script" not in page.tags
    shown = HOSTILE.replace("\x00", "�")
    assert page.titles == [shown, shown], "of the window and the page"
    assert page.alternatives == [shown]
    assert page.text.count(shown) == 20
    assert "&amp;lt;" not in page.source, "nothing is escaped twice"


def test_only_what_cannot_be_written_is_replaced():
    assert html.escape("3.1 to 4.2\xa0%, é 水\n\t") == "3.1 to 4.2\xa0%, é 水\n\t"
    assert html.escape("a\x00\x1b\udc80b") == "a���b"


def test_a_page_is_listed_at_its_top():
    sections = [html.section("What was trained", "A"), html.section("Use", "B")]
    page = pages.read(html.page("Title", "", sections, ""))
    assert page.links == ["#what-was-trained", "#use"]
    assert {"what-was-trained", "use"} <= set(page.ids)


def test_numbers_are_put_to_the_right():
    table = html.table(["part", "rows", "interval"], [["test", "1,257", "1 to 2 %"]])
    assert '<th scope="col" class="number">rows</th>' in table
    assert '<td class="number">1,257</td>' in table
    assert "<td>1 to 2 %</td>" in table
    with pytest.raises(ValueError, match="zip"):
        html.table(["part", "rows"], [["test", 1, 2]])


def test_the_reader_of_pages_finds_what_is_wrong():
    for wrong in ("<p><b></p></b>", "<p>", "<img src='http://a.b/c.png' alt=''>", "<p onclick=''>"):
        with pytest.raises(AssertionError):
            pages.read(f"<!DOCTYPE html>{wrong}")
