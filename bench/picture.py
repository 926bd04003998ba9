"""Draw the ratios of a measurement as one picture (SVG): how far from each yardstick and aim."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, Final

_WIDTH: Final = 860
_LEFT: Final = 360  # where the bars' ground begins
_RIGHT: Final = 70  # for the figure behind a bar
_ROW: Final = 22
_TOP: Final = 56
_BOTTOM: Final = 30
_MET, _NOT_MET, _AIM = "#1a7f5a", "#b4561f", "#1f2328"


def svg(found: dict[str, Any]) -> str:
    """A bar for each ratio on a logarithmic ground; a tick stands at the aim."""
    ratios = [(line["name"], each) for line in found["lines"] for each in line["ratios"]]
    low, high = _ground([r[key] for _, r in ratios for key in ("median", "aim")])

    def x(ratio: float) -> float:
        share = (math.log10(ratio) - low) / (high - low)
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    height = _TOP + _ROW * len(ratios) + _BOTTOM
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"',
            f' width="{_WIDTH}" height="{height}" role="img" font-family="sans-serif">',
            "<title>How many times as fast as each yardstick Linkrow was, and its aims</title>",
            f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
            _text(16, 24, "Linkrow against each yardstick, in the same run", size=15),
            _text(16, 42, "right of 1 is faster; the black tick is the aim", fill="#57606a"),
            *_grid(low, high, x, height),
            *(part for n, (name, each) in enumerate(ratios) for part in _bar(n, name, each, x)),
            "</svg>",
            "",
        ]
    )


def _ground(ratios: Sequence[float]) -> tuple[int, int]:
    """Whole powers of ten around all ratios, and around 1."""
    logs = [math.log10(ratio) for ratio in ratios]
    return min(-1, math.floor(min(logs))), max(1, math.ceil(max(logs)))


def _grid(low: int, high: int, x: Any, height: int) -> Iterator[str]:
    for power in range(low, high + 1):
        at, shade = x(10**power), "#57606a" if power == 0 else "#d0d7de"
        yield f'<path d="M{at} {_TOP - 6}V{height - _BOTTOM}" stroke="{shade}"/>'
        yield _text(at, height - 12, f"{10**power:g}x", anchor="middle", fill="#57606a")


def _bar(number: int, name: str, each: dict[str, Any], x: Any) -> Iterator[str]:
    top = _TOP + number * _ROW
    one, end, aim = x(1), x(each["median"]), x(each["aim"])
    fill = _MET if each["median"] >= each["aim"] else _NOT_MET
    yield _text(_LEFT - 12, top + 14, f"{name}: {each['yardstick']}", anchor="end")
    yield (
        f'<rect x="{min(one, end)}" y="{top + 3}" width="{round(abs(end - one), 1)}" '
        f'height="{_ROW - 8}" fill="{fill}"/>'
    )
    yield f'<path d="M{aim} {top}V{top + _ROW - 2}" stroke="{_AIM}" stroke-width="2"/>'
    yield _text(_WIDTH - 12, top + 14, f"{figure(each['median'])}x", anchor="end")


def figure(ratio: float) -> str:
    """Three digits that mean something."""
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"


def _text(
    x: float, y: float, words: str, *, anchor: str = "start", fill: str = _AIM, size: int = 12
) -> str:
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{fill}" font-size="{size}">'
        f"{escape(words)}</text>"
    )
