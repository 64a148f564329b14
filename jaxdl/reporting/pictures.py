"""A figure that a notebook shows as a picture, without a magic command or pyplot."""

import io

from matplotlib.figure import Figure


class Picture(Figure):
    """A matplotlib Figure; as a cell's last line it is shown as PNG."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()
