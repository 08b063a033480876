"""The configuration of Sphinx: `make docs` builds these pages into build/docs."""

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import GoogleDocstring

from adiuva import __version__

project = "Adiuva"
author = "Adiuva"
project_copyright = "Adiuva"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 4
root_doc = "index"

default_role = "py:obj"
add_module_names = False
python_use_unqualified_type_names = True
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"Adiuva {version}"
html_copy_source = False
html_show_sphinx = False
html_static_path: list[str] = []

_NAPOLEON: Any = Config()  # its defaults


def setup(app: Sphinx) -> None:
    app.connect("source-read", _take_in_the_readme)
    app.connect("autodoc-process-docstring", _read_sections)


def _take_in_the_readme(_: Sphinx, page: str, source: list[str]) -> None:
    """README.md, which is no page of this folder, becomes the page "start", and links lead there."""
    if page == "start":
        text = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")
        source[0] = re.sub(r"\]\((docs/)?(?!https?:|#)", lambda link: "](" if link[1] else "](../", text)
    else:
        source[0] = source[0].replace("../README.md", "start.md")


def _read_sections(app: Sphinx, what: Any, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """``Args:`` and ``Raises:`` become fields. Napoleon's own hook takes a field's text up to a colon for its type."""
    if what not in {"attribute", "data", "property"}:
        lines[:] = GoogleDocstring(lines, _NAPOLEON, app, what, name, value, options).lines()
