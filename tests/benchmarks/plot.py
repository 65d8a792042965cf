"""Lines over numbers as an SVG: panels one above the other, one x axis. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, PANEL, LEFT, RIGHT, TOP, GAP = 760, 220, 60, 190, 30, 60
COLOURS = ("#0b6e4f", "#7fb69f", "#c8553d", "#e3aa9e", "#274690", "#93a4c8")
_TICKS = 5


@dataclass(frozen=True)
class Line:
    name: str
    points: Sequence[tuple[float, float]]
    panel: int
    dashed: bool = False


def plot(panels: Sequence[str], x_title: str, lines: Sequence[Line]) -> str:
    """`panels`: their titles. Every y axis begins at nought."""
    right = max((x for line in lines for x, _ in line.points), default=1.0)
    height = TOP + len(panels) * (PANEL + GAP)
    parts: list[str] = []
    for number, title in enumerate(panels):
        own = [line for line in lines if line.panel == number]
        top = max((y for line in own for _, y in line.points), default=1.0) or 1.0
        bottom = TOP + number * (PANEL + GAP) + PANEL
        parts.append(f'<text x="{LEFT}" y="{bottom - PANEL - 8}" font-weight="bold">{escape(title)}</text>')
        for tick in range(_TICKS + 1):
            y, x = bottom - PANEL * tick / _TICKS, LEFT + (WIDTH - LEFT - RIGHT) * tick / _TICKS
            parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
            parts.append(
                f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * tick / _TICKS:.0f}</text>'
            )
            parts.append(
                f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{right * tick / _TICKS:.0f}</text>'
            )
        for place, line in enumerate(own):
            colour = COLOURS[lines.index(line) % len(COLOURS)]
            path = " ".join(
                f"{LEFT + (WIDTH - LEFT - RIGHT) * x / right:.1f},{bottom - PANEL * y / top:.1f}"
                for x, y in line.points
            )
            dash = ' stroke-dasharray="5 4"' if line.dashed else ""
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
            at = bottom - PANEL + 14 + 18 * place
            parts.append(f'<text x="{WIDTH - RIGHT + 10}" y="{at}" fill="{colour}">{escape(line.name)}</text>')
        middle = (LEFT + WIDTH - RIGHT) / 2
        parts.append(f'<text x="{middle}" y="{bottom + 34}" text-anchor="middle">{escape(x_title)}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif"'
    return "\n".join(
        [f'{head} font-size="12">', '<rect width="100%" height="100%" fill="#fff"/>', *parts, "</svg>\n"]
    )
