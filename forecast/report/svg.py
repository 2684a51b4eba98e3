"""Drawings as inline SVG: what every figure shares.

Figures are drawn without pyplot, so nothing global changes hands and nothing stays open.
Colours leave as CSS variables: one drawing serves light, dark and paper. Identifiers are
hashed with the figure's own name, so that several figures in one page never share one,
and the same arrays always give the same bytes.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_HUES = 7  # distinct to colour-blind readers; after that the same hues return dashed
_DASHES = ("", "5 2", "1.5 1.5", "6 1.5 1.5 1.5")
_WIDTH = 10.4  # inches; the page shows it as wide as the text
_MARGINS = (0.72, 0.08, 0.24, 0.4)  # left, right, top, bottom, inches

# Colours are drawn as these marks and become CSS variables.
INK, MUTED, GRID, SHADE, BAND = "#010101", "#020202", "#030303", "#040404", "#050505"
_BENCHMARK = "#060606"
_VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", SHADE: "shade", BAND: "band", _BENCHMARK: "benchmark"} | {
    f"#0a0a{k:02x}": f"hue-{k}" for k in range(_HUES)
}

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7.5,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.formatter.use_mathtext": False,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    # A grid says what tick marks say, in a third of the bytes.
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 1.1,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "axes.unicode_minus": True,
}


@dataclass(frozen=True, slots=True)
class Look:
    """How a model is drawn, the same in every figure.

    variable : CSS variable of the colour
    mark     : the colour as drawn
    dashes   : SVG dash array; empty is a solid line
    """

    variable: str
    mark: str
    dashes: str = ""


def looks(labels: Sequence[str], benchmark: str) -> dict[str, Look]:
    """A look for every model: first the benchmark, in grey, then the others in their order."""
    others = [label for label in labels if label != benchmark]
    return {benchmark: Look("benchmark", _BENCHMARK)} | {label: hue(k) for k, label in enumerate(others)}


def hue(k: int) -> Look:
    """The look of the k-th thing that has one, from zero."""
    return Look(f"hue-{k % _HUES}", f"#0a0a{k % _HUES:02x}", _DASHES[k // _HUES % len(_DASHES)])


def drawn(draw: Callable[[Any], None], *, height: float, name: str, margins: tuple[float, ...] = _MARGINS) -> str:
    """What ``draw`` puts on an empty figure, as an element of a page.

    Parameters
    ----------
    height  : inches
    name    : makes the figure's identifiers its own
    margins : left, right, top, bottom, inches
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {**_STYLE, "svg.hashsalt": name}
    with mpl.rc_context(style), warnings.catch_warnings():
        # The reader's fonts draw the text, not ours: a sign that ours lack is no problem.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # Fixed margins, in inches: measuring every text twice to find them would take half of all the time.
        figure = Figure(figsize=(_WIDTH, height))
        left, right, top, bottom = margins
        edges = {"left": left / _WIDTH, "right": 1 - right / _WIDTH, "top": 1 - top / height, "bottom": bottom / height}
        figure.subplots_adjust(**edges, wspace=0.24, hspace=0.16)
        draw(figure)
        target = io.StringIO()
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return inline(target.getvalue())


_NAMED = re.compile(r'<(\w+) id="([^"]*)"')
_REFERENCE = re.compile(r'(?:href="|url\()#([^")]+)')
_FONT = re.compile(r"; font-family: 'DejaVu Sans', sans-serif")
_PATH = re.compile(r' d="([^"<>]*)"')
_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_COLOUR = re.compile(r"(fill|stroke|stop-color): (#[0-9a-f]{6})")
_SIZE = re.compile(r'<svg [^>]*viewBox="([^"]*)"[^>]*>')


def inline(svg: str) -> str:
    """A stand-alone SVG document as an element of a page.

    Leaves out what a page does not need (prologue, metadata, style sheet, fixed size, unused names),
    rounds coordinates to a tenth of a point and turns marked colours into CSS variables.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style [^>]*>.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = _SIZE.sub(r'<svg viewBox="\1" aria-hidden="true">', svg, count=1)
    needed = set(_REFERENCE.findall(svg))
    svg = _NAMED.sub(lambda tag: tag[0] if tag[2] in needed else f"<{tag[1]}", svg)
    svg = _FONT.sub("", svg)
    svg = _PATH.sub(lambda path: f' d="{_NUMBER.sub(_rounded, path[1])}"', svg)
    svg = _COLOUR.sub(_variable, svg)
    return re.sub(r"\s*\n\s*", "\n", svg)


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")


def _variable(colour: re.Match[str]) -> str:
    variable = _VARIABLES.get(colour[2])
    return f"{colour[1]}: var(--{variable})" if variable else colour[0]
