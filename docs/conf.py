"""How Sphinx builds these pages: `sphinx-build -W --keep-going -b html docs docs/_build`."""

import os
import re
import sys
from pathlib import Path

# Before Keras is imported; nothing is trained here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
sys.path.insert(0, str(Path(__file__).parent))

import generating
from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

import keras_sda

project = "keras_sda"
author = "the authors of keras_sda"
project_copyright = "the authors of keras_sda, Apache 2.0"
version = release = keras_sda.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "make_pictures.py"]
templates_path: list[str] = []

myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 3
# Cards and notebooks begin below a heading of their own, and notebooks may hold shell commands.
suppress_warnings = ["myst.header", "misc.highlighting_failure"]

# Docstrings are written for a terminal: `code` in single backticks.
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_typehints = "none"
napoleon_attr_annotations = False
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_custom_sections = [
    ("Call arguments", "params_style"),
    "Input shape",
    "Output shape",
    ("Reference", "Reference"),
]
add_module_names = False
toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 80
copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = "keras_sda"
html_static_path = ["static"]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "navigation_with_keys": True,
    # So that the longest name of a class stays on one line.
    "light_css_variables": {"sidebar-item-font-size": "78%"},
}


class LinkNames(SphinxPostTransform):
    """Makes every `ks.name` and every name of a public class, set as code, a link to it."""

    default_priority = 20

    def run(self):
        """Goes through the code of a page that stands in its text."""
        objects = self.env.domains["py"].objects
        by_last = {}
        for full, entry in objects.items():
            # Of two classes of one name, such as `Data`, a page means its own.
            last = full.rsplit(".", 1)[1]
            if entry.objtype == "class" and (
                last not in by_last or entry.docname == self.env.docname
            ):
                by_last[last] = full
        for node in list(self.document.findall(nodes.literal)):
            if isinstance(node.parent, nodes.reference) or self._is_heading(node):
                continue
            name = re.sub(r"\(.*$", "", node.astext(), flags=re.DOTALL)
            name = re.sub(r"^(ks|keras_sda)\.", "", name)
            full = f"keras_sda.{name}" if f"keras_sda.{name}" in objects else by_last.get(name)
            if full is None or not re.fullmatch(r"[\w.]+", name):
                continue
            entry = objects[full]
            if entry.docname == self.env.docname and name not in node.astext().split("."):
                continue
            link = make_refnode(
                self.app.builder,
                self.env.docname,
                entry.docname,
                entry.node_id,
                node.deepcopy(),
                full,
            )
            node.replace_self(link)

    @staticmethod
    def _is_heading(node):
        while node is not None:
            if isinstance(node, nodes.title):
                return True
            node = node.parent
        return False


def mend_help(app, ctx, lines):
    """Sets options in the text of a command as code, or their hyphens would become dashes."""
    lines[:] = [
        line
        if line.lstrip().startswith("..")
        else re.sub(r"(?<![`\w<-])--[a-z][a-z-]*", r"``\g<0>``", line)
        for line in lines
    ]


def mend_docstring(app, what, name, obj, options, lines):
    """Runs before Napoleon."""
    lines[:] = generating.to_rst(lines)


def mend_signature(app, what, name, obj, options, arguments, returns):
    """Shows the arguments of `__init__`, and functions among defaults by their names."""
    shown = generating.signature(obj)
    if shown is not None:
        return shown, None
    if not arguments:  # a module or a property
        return None
    return re.sub(r"<function (\w+)[^>]*>", r"\1", arguments), returns


def setup(app):
    """Makes the generated pages, and adds what this site has of its own."""
    generating.write_pages(Path(__file__).parent / "generated")
    app.connect("autodoc-process-docstring", mend_docstring, priority=400)
    app.connect("autodoc-process-signature", mend_signature)
    for part in ("description", "options", "arguments", "epilog"):
        app.connect(f"sphinx-click-process-{part}", mend_help)
    app.add_post_transform(LinkNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
