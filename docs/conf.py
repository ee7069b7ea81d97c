"""How Sphinx makes the documentation site.

    sphinx-build --fail-on-warning -c docs . site

The source folder is the root of the repository, so that the links between the pages are the same
here and on GitHub. Nothing is loaded from the network, neither at build time nor by the pages.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from gradcam_cli.version import __version__  # noqa: E402

project = "gradcam"
copyright = "the gradcam developers"  # noqa: A001
release = __version__
language = "en"

root_doc = "docs/index"
include_patterns = [
    "docs/*.md",
    "docs/*.ipynb",
    "benchmarks/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# Of what docstrings refer to, the site has the public names.
default_role = "py:obj"

myst_enable_extensions = ["dollarmath"]
# GitHub shows a fenced block of the language "math" as a formula.
myst_fence_as_directive = ["math"]
myst_heading_anchors = 3
# GitHub marks shell commands by four spaces of indentation alone.
highlight_language = "console"
highlight_options = {"console": {"stripall": False}}

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
# TensorFlow's remarks on the machine that builds the site.
nb_output_stderr = "remove"

# The long list of arguments stands at `__init__` alone, not at every class that inherits it.
autodoc_class_signature = "separated"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "gradcam"
html_copy_source = False
html_show_sphinx = False
html_static_path = ["site/static"]
html_css_files = ["pages.css"]
templates_path = ["site"]
html_additional_pages = {"index": "to_home.html"}
html_math_renderer = "mathml"


def setup(app: Sphinx) -> None:
    """Has formulas written as MathML, which browsers show without a script."""
    app.add_html_math_renderer(
        "mathml",
        inline_renderers=(_visit_inline_formula, None),
        block_renderers=(_visit_formula, None),
    )


def _visit_inline_formula(writer: HTML5Translator, node: nodes.math) -> None:
    writer.body.append(_to_mathml(node.astext()))
    raise nodes.SkipNode


def _visit_formula(writer: HTML5Translator, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="math">{_to_mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def _to_mathml(formula: str, *, as_block: bool = False) -> str:
    # Browsers fit brackets to what they enclose; docutils doesn't know these commands.
    for size in (r"\Big", r"\big"):
        formula = formula.replace(size, "")
    return tex2mathml(formula, as_block=as_block)
