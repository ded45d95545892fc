"""Pages in HTML: the parts that reports are put together from.

A page is one file that loads nothing and runs nothing: its style and its pictures are inside it.
Every function takes plain text, and escapes it; what is HTML already is of the type `Html`.

>>> table(["unit", "weight"], [["a < b", 0.5]]).count("a &lt; b")
1
"""

import base64
import html
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from string import Template
from typing import Any


class Html(str):
    """Text that is HTML already, and is not escaped again."""

    __slots__ = ()


def escape(content: Any) -> Html:
    """Returns anything as HTML: `Html` as it is, other values as text."""
    if isinstance(content, Html):
        return content
    # What no page may hold, such as the zero byte, comes from names of columns, too.
    text = "".join("�" if _is_control(sign) else sign for sign in str(content))
    return Html(html.escape(text))


def _is_control(sign: str) -> bool:
    """Whether a character is none that is written: a control character or half of a pair."""
    return unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\t"


def element(tag: str, *content: Any, **attributes: Any) -> Html:
    """Returns an element with its content.

    Args:
        tag: Its name.
        *content: What is inside, text or `Html`.
        **attributes: Its attributes, of which `None` is left out; `class_` stands for `class`.
    """
    return Html(f"<{tag}{_attributes(attributes)}>{join(content)}</{tag}>")


def _attributes(attributes: Mapping[str, Any]) -> str:
    given = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
    return "".join(f' {name}="{escape(str(v))}"' for name, v in given.items() if v is not None)


def join(parts: Iterable[Any], between: str = "") -> Html:
    """Returns several pieces of text or `Html` as one."""
    return Html(escape(between).join(escape(part) for part in parts))


def paragraph(*content: Any, kind: str | None = None) -> Html:
    """Returns a paragraph; `kind` is `"note"` for a remark that stands out, or `"small"`."""
    return element("p", *content, class_=kind)


def code(text: Any) -> Html:
    """Returns a few words of code inside a sentence."""
    return element("code", text)


def block(text: str) -> Html:
    """Returns lines of code that one click selects."""
    return element("pre", element("code", text.strip("\n")), tabindex="0")


def section(title: str, *content: Any) -> Html:
    """Returns a section of the page with its heading, which `page` lists at the top."""
    return element("section", element("h2", title), *content, id=_anchor(title))


def _anchor(title: str) -> str:
    return "-".join("".join(s if s.isalnum() else " " for s in title.lower()).split())


def table(header: Sequence[Any], rows: Iterable[Sequence[Any]], caption: str | None = None) -> Html:
    """Returns a table whose rows have a heading each, in the first column.

    Args:
        header: Headings of the columns.
        rows: Cells, row by row. Numbers are put to the right.
        caption: What the table holds; `None` if the text before it says so.
    """
    lines = [list(row) for row in rows]
    kinds = [_kind(line[number] for line in lines) for number in range(len(header))]
    head = [
        element("th", title, scope="col", class_=kind)
        for title, kind in zip(header, kinds, strict=True)
    ]
    body = [
        element(
            "tr",
            element("th", first, scope="row"),
            *(element("td", cell, class_=kind) for cell, kind in zip(rest, kinds[1:], strict=True)),
        )
        for first, *rest in lines
    ]
    return _scrolling(
        element(
            "table",
            *([] if caption is None else [element("caption", caption)]),
            element("thead", element("tr", *head)),
            element("tbody", *body),
        )
    )


def _kind(column: Iterable[Any]) -> str | None:
    """Returns the class of a column: of numbers, or of text."""
    cells = [str(cell) for cell in column]
    is_number = all(re.fullmatch(r"-|-?[\d.,e+-]+( %)?", cell) for cell in cells) and cells
    return "number" if is_number else None


def facts(entries: Mapping[Any, Any], caption: str | None = None) -> Html:
    """Returns a table of names and what each is."""
    rows = [
        element("tr", element("th", name, scope="row"), element("td", content))
        for name, content in entries.items()
    ]
    head = [] if caption is None else [element("caption", caption)]
    return _scrolling(element("table", *head, element("tbody", *rows), class_="facts"))


def _scrolling(content: Html) -> Html:
    """Returns what may be wider than a telephone, so that it scrolls and not the whole page."""
    return element("div", content, class_="wide", tabindex="0")


def folded(title: str, *content: Any) -> Html:
    """Returns details that are hidden until the reader opens them."""
    return element("details", element("summary", title), *content)


def tiles(entries: Iterable[tuple[str, Any, str]]) -> Html:
    """Returns the most important figures in large type: name, figure, and a remark on each."""
    return element(
        "dl",
        *(
            element(
                "div",
                element("dt", name),
                element("dd", figure, class_="figure"),
                element("dd", remark),
            )
            for name, figure, remark in entries
        ),
        class_="tiles",
    )


def picture(png: bytes, alternative: str, caption: Any = None, dpi: int = 144) -> Html:
    """Returns a picture that is part of the page.

    Args:
        png: Content of a PNG file.
        alternative: What the picture shows, for readers who do not see it.
        caption: What is written below it.
        dpi: How many of its pixels make an inch, where there is room.
    """
    data = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    width = round(96 * int.from_bytes(png[16:20], "big") / dpi)  # as its header has it
    image = Html(f"<img{_attributes({'src': data, 'alt': alternative, 'width': width})}>")
    below = [] if caption is None else [element("figcaption", caption)]
    # A strip of panels cannot be read at the width of a telephone, and scrolls.
    kind = "strip" if width > 800 else None
    return element("figure", _scrolling(image), *below, class_=kind)


def drawn(figure: Any, alternative: str, caption: Any = None, dpi: int = 144) -> Html:
    """Returns a Matplotlib figure as a picture that is part of the page."""
    file = io.BytesIO()
    # Without the version of Matplotlib, the same run gives the same file.
    figure.savefig(file, format="png", dpi=dpi, metadata={"Software": None})
    return picture(file.getvalue(), alternative, caption, dpi)


def side_by_side(pictures: Iterable[Html]) -> Html:
    """Returns several pictures beside each other, where there is room."""
    return element("div", *pictures, class_="side")


def page(title: str, lead: Any, sections: Sequence[Html], footer: Any) -> str:
    """Returns a whole page.

    Args:
        title: Its title.
        lead: What stands below the title: a sentence, tiles.
        sections: What `section` has returned.
        footer: The last line.
    """
    links = [
        element("li", element("a", name, href=f"#{_anchor(name)}")) for name in titles(sections)
    ]
    return _PAGE.substitute(
        title=escape(title),
        style=_STYLE,
        lead=escape(lead),
        contents=element("nav", element("ul", *links), aria_label="Contents"),
        sections=join(sections, "\n"),
        footer=escape(footer),
    )


def titles(sections: Iterable[Html]) -> list[str]:
    """Returns the headings of sections, as text."""
    return [html.unescape(part.split("<h2>", 1)[1].split("</h2>", 1)[0]) for part in sections]


_STYLE = """
:root { color-scheme: light dark; --text: #1c2024; --soft: #5c656e; --page: #ffffff;
  --raised: #f5f6f8; --line: #dfe3e8; --accent: #0b62a8; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e7ea; --soft: #a0a8b1; --page: #15181b;
  --raised: #1f2327; --line: #363c43; --accent: #79b8f0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 58rem; color: var(--text);
  background: var(--page); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; letter-spacing: -.01em;
  overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 0 0 .75rem; }
h3 { font-size: 1.05rem; margin: 1.75rem 0 .5rem; }
p { margin: .5rem 0 1rem; max-width: 44rem; overflow-wrap: anywhere; }
a { color: var(--accent); }
section { margin-top: 2.75rem; padding-top: 1.5rem; border-top: 1px solid var(--line); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; margin: 1.5rem 0 0;
  padding: 0; }
nav a { text-decoration: none; } nav a:hover { text-decoration: underline; }
.small, figcaption, footer { color: var(--soft); font-size: .9rem; }
.note { background: var(--raised); border-left: 3px solid var(--accent); padding: .6rem .9rem;
  border-radius: 0 .4rem .4rem 0; }
.wide { overflow-x: auto; max-width: 100%; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem;
  margin: 1.5rem 0 0; }
.tiles div { background: var(--raised); border-radius: .5rem; padding: .8rem 1rem; }
.tiles dt, .tiles dd { margin: 0; color: var(--soft); font-size: .875rem; }
.tiles dd.figure { color: var(--text); font-size: 1.55rem; line-height: 1.35; font-weight: 600;
  font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; margin: .5rem 0 1.25rem; font-size: .925rem; }
caption { text-align: left; font-weight: 600; padding: .25rem 0 .35rem; }
th, td { padding: .35rem 1.5rem .35rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
thead th { color: var(--soft); font-weight: 500; white-space: nowrap; }
tbody th { font-weight: 500; }
.facts th { color: var(--soft); font-weight: 400; white-space: nowrap; }
td { overflow-wrap: break-word; max-width: 26rem; }
td.number, thead th.number { text-align: right; }
td.number { white-space: nowrap; }
td:last-child, th:last-child { padding-right: .25rem; }
details { margin: .5rem 0 1rem; } summary { cursor: pointer; color: var(--accent); }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono",
  monospace; font-size: .875em; }
pre { background: var(--raised); border-radius: .5rem; padding: .85rem 1rem; overflow-x: auto;
  line-height: 1.5; }
pre code { font-size: 1em; user-select: all; }
figure { margin: 1.25rem 0; }
.side { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr));
  gap: 0 1.5rem; }
figcaption { margin-top: .35rem; max-width: 44rem; }
img { display: block; height: auto; max-width: 100%; border-radius: .4rem; background: #fff; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); }
@media (max-width: 40rem) { body { padding: 1.25rem 1rem 3rem; } h1 { font-size: 1.3rem; }
  .strip img { max-width: none; width: 46rem; } .facts th { white-space: normal; } }
@media print { :root { --text: #000; --soft: #444; --page: #fff; --raised: #f5f5f5; --line: #ccc;
  --accent: #000; color-scheme: light; } body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; } figure, tr, pre, .tiles { break-inside: avoid; }
  h2, h3, caption { break-after: avoid; } pre { white-space: pre-wrap; }
  img { max-height: 11cm; width: auto; }
  details::details-content { content-visibility: visible; height: auto; } }
"""

# The policy lets a browser run nothing and load nothing, whatever text slipped in.
_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>$style</style>
</head>
<body>
<header>
<h1>$title</h1>
$lead
$contents
</header>
<main>
$sections
</main>
<footer>$footer</footer>
</body>
</html>
""")
