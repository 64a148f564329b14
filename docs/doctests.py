"""Puts the doctests of docstrings into blocks of code, for the site: they stand in no section of
their own, and Markdown would read `>>>` as quotations."""

import griffe


class Doctests(griffe.Extension):
    """What mkdocs.yml names; called with every object that has been read."""

    def on_object(self, *, obj: griffe.Object, **_):
        """Fences the doctests of one docstring."""
        if obj.docstring:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """Fences doctests: from a line that begins with a prompt to the next empty line."""
    lines = []
    is_inside = False
    for line in [*text.splitlines(), ""]:
        begins = line.startswith(">>> ") and not is_inside
        ends = is_inside and not line.strip()
        lines += ["```python"] * begins + ["```"] * ends + [line]
        is_inside = (is_inside or begins) and not ends
    return "\n".join(lines[:-1])
