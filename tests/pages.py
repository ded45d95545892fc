"""Reads a page in HTML, and checks what any page of ours must be."""

from html.parser import HTMLParser

EMPTY = ("meta", "img", "br", "wbr")


class Page(HTMLParser):
    """What is on a page.

    Attributes:
        source: The page as it was given.
        tags: Names of all elements, in order.
        links, ids, alternatives: Targets of links, identifiers, texts that stand for pictures.
        pictures: Sources of the pictures.
        titles: Text of `title` and `h1`.
        cells: Text of every cell of a table.
        code: Text of every block of code.
    """

    def __init__(self, source):
        super().__init__()
        self.source = source
        self.tags, self.links, self.ids, self.alternatives = [], [], [], []
        self.pictures, self.titles, self.cells, self.code = [], [], [], []
        self.text = ""
        self._open = []
        self.feed(source)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        assert len(values) == len(attributes), f"an attribute twice: {attributes}"
        assert not [name for name in values if name.startswith("on")], f"a script: {attributes}"
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form")
        for name in ("src", "href", "srcset", "data", "action"):
            local = ("#", "data:image/png;base64,")
            assert values.get(name, "#").startswith(local), f"{name}={values[name][:80]}"
        self.links += [values["href"]] if tag == "a" else []
        self.ids += [values["id"]] if "id" in values else []
        if tag == "img":
            assert values["alt"].strip(), "a picture without words"
            self.alternatives.append(values["alt"])
            self.pictures.append(values["src"])
        if tag not in EMPTY:
            self._open.append(tag)
        lists = {"title": self.titles, "h1": self.titles, "td": self.cells, "pre": self.code}
        if tag in lists:
            lists[tag].append("")

    def handle_endtag(self, tag):
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data):
        if "style" in self._open:
            assert "url(" not in data, "a style that loads something"
            assert "@import" not in data, "a style that loads something"
            return
        self.text += data
        for tag, texts in (("td", self.cells), ("pre", self.code)):
            if tag in self._open:
                texts[-1] += data
        if self._open and self._open[-1] in ("title", "h1"):
            self.titles[-1] += data


def read(source):
    """Returns the page, once it is known to be whole, to load nothing and to run nothing."""
    assert source.startswith("<!DOCTYPE html>")
    page = Page(source)
    assert len(set(page.ids)) == len(page.ids)
    assert {link[1:] for link in page.links} <= set(page.ids)
    return page
