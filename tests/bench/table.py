"""Rows of a benchmark, and how they are printed."""

from dataclasses import astuple, dataclass
from typing import Iterable

HEAD = ("row", "ours", "peer", "ratio or figure", "goal", "ok")
WORDS = {True: "yes", False: "NO", None: "-"}


@dataclass(frozen=True)
class Row:
    """One figure beside the one it is measured against, where there is one."""

    name: str
    ours: str
    peer: str
    figure: str
    goal: str
    # None where nothing was compared.
    ok: bool | None

    @staticmethod
    def alone(name: str, ours: float, most: float, unit: str) -> "Row":
        """A figure without a peer, that may be at most `most`."""
        shown = {"ms": "{:.0f} ms", "s": "{:.3f} s", "MiB": "{:.1f} MiB", "": "{:.0f}"}[unit]
        return Row(name, shown.format(ours), "-", f"{ours / most:.2f} of goal",
                   f"<= {most:g} {unit}", ours <= most)


def text(rows: Iterable[Row]) -> str:
    """The table, its columns aligned."""
    cells = [HEAD] + [(*astuple(row)[:-1], WORDS[row.ok]) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths)) for line in cells]
    lines.insert(1, "-+-".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)
