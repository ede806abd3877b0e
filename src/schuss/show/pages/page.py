"""A page as HTML: its parts, the template, and the promise that no text from outside is taken for markup."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from schuss.show.charts.style import COLORS
from schuss.show.pages.charts import SHADES, Spec, colors_of

if TYPE_CHECKING:
    from jinja2 import Environment, Template
    from markupsafe import Markup

VEGA_LITE = "6.4"  # the version that the charts are written for


class Panel(NamedTuple):
    """A drawing with its title; `alt` says in words what is drawn."""

    title: str
    spec: Spec
    alt: str


class Chart(NamedTuple):
    """Panels that share one legend: the `lines`, which lead to their color, or the shades of a map."""

    title: str
    note: str
    panels: Sequence[Panel]
    lines: Sequence[str] = ()
    is_map: bool = False

    @property
    def columns(self) -> int:
        """How many panels stand side by side, so that the last line is full if it can be."""
        n = len(self.panels)
        return n if n < 4 else 2 if n == 4 else 3

    @property
    def legend(self) -> list[Spec]:
        """What each line looks like."""
        return [{"name": name} | look for name, look in zip(self.lines, colors_of(self.lines), strict=True)]


class Table(NamedTuple):
    """Texts in rows; those of the columns from `numbers` on stand to the right. `strong` are the numbers of rows."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: int
    strong: frozenset[int] = frozenset()
    note: str = ""
    is_folded: bool = False


class Section(NamedTuple):
    """A question, what was found in a sentence, and the charts and tables that show it."""

    id: str
    question: str
    finding: str
    parts: Sequence[Chart | Table]


class Page(NamedTuple):
    """Everything that stands on a page; `again` leads to the command, `terms` are the numbers in the glossary."""

    title: str
    byline: str
    verdict: Sequence[str]
    sections: Sequence[Section]
    facts: Mapping[str, Sequence[tuple[str, str]]]
    again: str
    command: str
    details: str
    terms: Mapping[str, str]


def page_html(page: Page) -> str:
    """The page as one file.

    Names are escaped by the template, and the policy in its head lets the browser run the scripts that belong to it and
    nothing else, and load nothing at all.
    """
    specs = [
        panel.spec
        for section in page.sections
        for part in section.parts
        if isinstance(part, Chart)
        for panel in part.panels
    ]
    scripts = [_vega(), _text("page.js")]
    return _template("page.html").render(
        page=page,
        style=_trusted(_text("page.css")),
        colors=COLORS,
        scripts=list(map(_trusted, scripts)),
        hashes=" ".join(f"'sha256-{_digest(script)}'" for script in scripts),
        specs=_trusted(_json_in_html(specs)),
        shades=_shade_names(),
        is_chart=lambda part: isinstance(part, Chart),
    )


def table_html(table: Table) -> str:
    """A table alone, as a notebook shows it: no scripts, and its colors are the notebook's."""
    return _template("table.html").render(table=table)


def _shade_names() -> list[str]:
    bounds = [f"{100 * bound:.0f}" for bound in SHADES]
    return [
        f"< {bounds[0]} %",
        *(f"{low}–{high} %" for low, high in itertools.pairwise(bounds)),
        f"≥ {bounds[-1]} %",
    ]


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    made = Environment(
        loader=FunctionLoader(_text), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters["tied"] = _tied
    return made


def _tied(text: str) -> str:
    """A number and its percent sign on one line."""
    return text.replace(" %", "\u00a0%")


def _template(name: str) -> Template:
    return _environment().get_template(name)


def _text(name: str) -> str:
    return files("schuss.show.pages").joinpath(name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _vega() -> str:
    """Vega and Vega-Lite, by which the reader's browser draws, as one script; it takes a second to put together."""
    from vl_convert import javascript_bundle

    return javascript_bundle("window.vegaEmbed = vegaEmbed", VEGA_LITE)


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _trusted(text: str) -> Markup:
    """Our own text, which is not escaped."""
    from markupsafe import Markup

    return Markup(text)


def _json_in_html(content: object) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
