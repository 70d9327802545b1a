"""How benchmark results are printed: one table, medians, ratios; the machine and the date beside it."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median


def machine() -> str:
    """One line that says on what this was measured."""
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")),
        platform.processor(),
    )
    cores = len(os.sched_getaffinity(0))
    today = datetime.now(UTC).date()
    return f"{model}, {cores} cores visible, Linux {platform.release()}, Python {platform.python_version()}, {today}"


def middle(values: Sequence[float]) -> float:
    return median(values)


def spread(values: Sequence[float]) -> str:
    """The smallest and the largest, so that a noisy machine shows."""
    return f"{min(values):,.4g}-{max(values):,.4g}"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, columns aligned for reading in a terminal too."""
    widths = [max(len(str(row[column])) for row in [headings, *rows]) for column in range(len(headings))]
    lines = [
        "| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in [headings, ["-" * width for width in widths], *rows]
    ]
    return "\n".join(lines)
