"""The configuration of Sphinx: `make docs` builds these pages into build/docs."""

from adiuva import __version__

project = "Adiuva"
author = "Adiuva"
project_copyright = "Adiuva"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
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
# A browser that reads them asks nobody else for anything.
html_theme_options = {"source_repository": ""}
