"""Pages for people, as one HTML file each: markup, charts, and what a page is made of."""

from jaxdl.reporting.html.contents import (
    Code,
    Figure,
    Grid,
    HeatMap,
    Line,
    Links,
    Note,
    Page,
    Panel,
    Picture,
    Section,
    Terms,
    Text,
)
from jaxdl.reporting.html.page import render

__all__ = [
    "Code",
    "Figure",
    "Grid",
    "HeatMap",
    "Line",
    "Links",
    "Note",
    "Page",
    "Panel",
    "Picture",
    "Section",
    "Terms",
    "Text",
    "render",
]
