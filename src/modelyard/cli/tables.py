"""Tables for people."""

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def show(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows as wide as they are: a terminal wraps a long line better than cells get folded, and grep and
    cut see whole words."""
    table = Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        # Names are people's own text, not markup.
        table.add_row(*(Text(cell) for cell in row))
    console = Console()
    width = max(console.width, console.measure(table, options=console.options.update(max_width=10_000)).maximum)
    Console(width=width).print(table, crop=False, soft_wrap=True)
