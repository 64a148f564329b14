"""Makes HTML and SVG of strings and numbers; the one place where text is escaped."""

import html
import re
from collections.abc import Iterable
from typing import Any

VOID = frozenset(["meta", "img", "br"])  # elements that have no end
# No HTML text may hold them, and a lone surrogate is not even UTF-8.
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)


class Markup(str):
    """Text that is HTML already. Only this module makes it of other text."""

    __slots__ = ()


def escaped(content: Any) -> Markup:
    """Makes HTML of a value: markup stays as it is, everything else is text.

    >>> escaped('<b title="x">'), escaped(Markup("<br>"))
    ('&lt;b title=&quot;x&quot;&gt;', '<br>')
    """
    if isinstance(content, Markup):
        return content
    text = FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(content))
    return Markup(html.escape(text, quote=True))


def joined(parts: Iterable, between: str = "") -> Markup:
    """Joins markup and text to markup."""
    return Markup(between.join(map(escaped, parts)))


def element(tag: str, /, *content: Any, **attributes: Any) -> Markup:
    """Makes an element; `class_` is its class, and an underscore in another name is a hyphen.

    An attribute that is None or False is left out; one that is True has no value.

    >>> element("a", "1 < 2", href="#x", aria_label='a "b"')
    '<a href="#x" aria-label="a &quot;b&quot;">1 &lt; 2</a>'
    """
    parts = [tag]
    for key, value in attributes.items():
        written = key.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(written)
        elif value is not None and value is not False:
            parts.append(f'{written}="{escaped(value)}"')
    start = f"<{' '.join(parts)}>"
    return Markup(start) if tag in VOID else Markup(f"{start}{joined(content)}</{tag}>")
