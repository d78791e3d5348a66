"""A bar chart as SVG: groups of horizontal bars, one a name, with the value beside each.

No library draws it: the picture is rectangles and words, and its colours follow the reader's light or dark mode.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH: Final = 720
LABELS: Final = 150
VALUES: Final = 70
BAR: Final = 20
STEP: Final = 26
TITLE: Final = 34
_STYLE: Final = """<style>
text { font: 13px system-ui, sans-serif; fill: #222 } .title { font-weight: 600 }
.ours { fill: #2563eb } .other { fill: #9ca3af }
@media (prefers-color-scheme: dark) { text { fill: #eee } .other { fill: #6b7280 } }
</style>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Bars that share a scale; `values` by name, in the order in which they are drawn."""

    title: str
    unit: str
    values: Mapping[str, float]


def svg(groups: Sequence[Group], *, ours: str) -> str:
    """The picture; bars whose name begins with `ours` stand out."""
    parts: list[str] = []
    top = 0
    for group in groups:
        parts += _drawn(group, top, ours)
        top += TITLE + STEP * len(group.values)
    told = "; ".join(_told(group) for group in groups)
    size = f'width="{WIDTH}" height="{top + 8}" viewBox="0 0 {WIDTH} {top + 8}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"<title>{escape(told)}</title>",
            _STYLE,
            *parts,
            "</svg>\n",
        ]
    )


def _told(group: Group) -> str:
    return f"{group.title}: " + ", ".join(f"{name} {value:.3g} {group.unit}" for name, value in group.values.items())


def _drawn(group: Group, top: int, ours: str) -> list[str]:
    parts = [f'<text class="title" x="8" y="{top + 22}">{escape(group.title)}</text>']
    longest = max(group.values.values(), default=0) or 1
    for number, (name, value) in enumerate(group.values.items()):
        y = top + TITLE + STEP * number
        width = max(1.0, (WIDTH - LABELS - VALUES) * value / longest)
        kind = "ours" if name.startswith(ours) else "other"
        parts += [
            f'<text x="{LABELS - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{kind}" x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2"/>',
            f'<text x="{LABELS + width + 6:.1f}" y="{y + 15}">{value:.3g} {escape(group.unit)}</text>',
        ]
    return parts
