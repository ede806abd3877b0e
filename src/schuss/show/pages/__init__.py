"""Results as pages for a browser: one file, that needs nothing else and asks nobody for anything.

What stands on a page is plain values; `schuss.show.report` finds them. Charts are Vega-Lite specifications, drawn
by the Vega library, which is in the file.
"""

from schuss.show.pages.charts import Axis, Cell, Interval, Line, Spec, heat_panel, interval_panel, line_panel
from schuss.show.pages.page import Chart, Page, Panel, Section, Table, page_html, table_html

__all__ = [
    "Axis", "Cell", "Chart", "Interval", "Line", "Page", "Panel", "Section", "Spec", "Table", "heat_panel",
    "interval_panel", "line_panel", "page_html", "table_html",
]  # fmt: skip
