"""Shapes of the demand curve: the parametric satiation curves, their slopes, and where they reach a slope.

    m(x) = a + k h(v),    v = r (x - l),    dm/dx = k r h'(v)

h is one of seven functions below, each falling to zero; l is a ratio and r a rate per percentage point, negative for
the mirror image. The published forms, with g = c + w x, are these with other letters:

    logistic           a + k / (1 - b e^g)      b < 0: sigmoid;  b > 0: pole
    reduced_logistic   a + 1 / (1 - b e^g)      the same with the height of the corridor
    fixed_logistic     a + 1 / (1 - e^g)        pole with the height of the corridor
    double_exponential a + b exp(rho e^g)       rho < 0: gompertz;  rho > 0: double_exponential
    exponential        a + b e^g
    fixed_exponential  b e^g
    arctan             a + b arctan(g)
    linear             g

The paper measures the rate in units of the central bank's corridor, so that a height of one is the corridor.

References
----------
Chen, Kourentzes and Veyrune (2023), IMF WP 23/179, "Modeling the reserve demand to facilitate central bank operations".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]
type Codes = NDArray[np.int64]
type ShapeName = Literal[
    "logistic",
    "reduced_logistic",
    "fixed_logistic",
    "double_exponential",
    "exponential",
    "fixed_exponential",
    "arctan",
    "linear",
]

# A bank system with more reserves than this has none of the problems the curve is about.
HIGHEST_RATIO = 60.0  # percent of bank assets
_FAR = 500.0  # where exp still is a number


# ------------------------------------------------------- functions: (h, h') of v, for numpy and, compiled, for the fits


def sigmoid(v: Array) -> tuple[Array, Array]:
    """1 / (1 + e^v): from one to zero."""
    h = 1 / (1 + np.exp(np.minimum(np.maximum(v, -_FAR), _FAR)))
    return h, -h * (1 - h)


def pole(v: Array) -> tuple[Array, Array]:
    """1 / (e^v - 1): from infinity at zero to zero; infinite below."""
    h = 1 / np.expm1(np.minimum(np.maximum(v, 1e-150), _FAR))
    h = np.where(v > 0, h, np.inf)
    return h, -h * (1 + h)


def gompertz(v: Array) -> tuple[Array, Array]:
    """exp(-e^v): from one to zero, late and then fast."""
    inner = np.exp(np.minimum(np.maximum(v, -_FAR), 7.0))
    h = np.exp(-inner)
    return h, -inner * h


def double_exponential(v: Array) -> tuple[Array, Array]:
    """exp(e^-v) - 1: from far up to zero."""
    inner = np.exp(-np.minimum(np.maximum(v, -6.0), _FAR))
    h = np.expm1(inner)
    return h, -inner * (1 + h)


def exponential(v: Array) -> tuple[Array, Array]:
    """e^-v: convex to zero."""
    h = np.exp(-np.minimum(np.maximum(v, -_FAR), _FAR))
    return h, -h


def arctangent(v: Array) -> tuple[Array, Array]:
    """pi / 2 - arctan(v): from pi to zero, with slow tails."""
    return np.pi / 2 - np.arctan(v), -1 / (1 + v**2)


def line(v: Array) -> tuple[Array, Array]:
    """-v."""
    return -v, -np.ones_like(v)


FUNCTIONS: tuple[Callable[[Array], tuple[Array, Array]], ...] = (
    sigmoid,
    pole,
    gompertz,
    double_exponential,
    exponential,
    arctangent,
    line,
)
_SIGMOID, _POLE, _GOMPERTZ, _DOUBLE, _EXPONENTIAL, _ARCTAN, _LINE = range(len(FUNCTIONS))


# ------------------------------------------------------------------------------------- what the published forms are


@dataclass(frozen=True, slots=True)
class Branch:
    """One function of a shape, and where its two bent parameters are looked for.

    With t = (x - lowest) / (highest - lowest) of the sample, or 1 - t where mirrored, v = speed * t - offset and
    low <= offset <= high + widens * speed, slowest <= speed <= fastest: the bend lies in or near the sample, and what is
    steeper than a fiftieth of the sample's range is a step. A pole lies below every ratio of the sample, by a tenth of its
    range at least.

    function : position in FUNCTIONS
    height   : 0 free, else sign of the corridor
    """

    function: int
    low: float
    high: float
    widens: float
    slowest: float
    fastest: float
    mirrored: bool = False
    height: int = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """A published form.

    branches : functions it comprises
    bent     : number of parameters that enter nonlinearly: offset and speed, speed alone, none
    constant : whether there is a free level a
    """

    branches: tuple[Branch, ...]
    bent: int = 2
    constant: bool = True


def _sigmoids(*heights: int) -> tuple[Branch, ...]:
    return tuple(Branch(_SIGMOID, -5.0, 5.0, 1.0, 1.0, 80.0, height=height) for height in heights)


def _poles(*heights: int) -> tuple[Branch, ...]:
    return tuple(Branch(_POLE, -8.0, 0.0, -0.1, 0.1, 40.0, height=height) for height in heights)


_EXPONENTIALS = tuple(Branch(_EXPONENTIAL, 0.0, 0.0, 0.0, 0.05, 40.0, mirrored) for mirrored in (False, True))

SHAPES: Mapping[ShapeName, Shape] = {
    "logistic": Shape((*_sigmoids(0), *_poles(0))),
    "reduced_logistic": Shape((*_sigmoids(1, -1), *_poles(1, -1))),
    "fixed_logistic": Shape(_poles(1, -1)),
    "double_exponential": Shape(
        (
            *(Branch(_GOMPERTZ, -5.0, 2.0, 1.0, 1.0, 80.0, mirrored) for mirrored in (False, True)),
            *(Branch(_DOUBLE, -5.0, 2.0, 0.0, 0.1, 40.0, mirrored) for mirrored in (False, True)),
        )
    ),
    "exponential": Shape(_EXPONENTIALS, bent=1),
    "fixed_exponential": Shape(_EXPONENTIALS, bent=1, constant=False),
    "arctan": Shape((Branch(_ARCTAN, -20.0, 20.0, 1.0, 1.0, 200.0),)),
    "linear": Shape((Branch(_LINE, 0.0, 0.0, 0.0, 1.0, 1.0),), bent=0),
}


# ---------------------------------------------------------------------------------------------------- curves


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Curves, one a draw.

    function : (S,) positions in FUNCTIONS
    location : (S,) l, percent of bank assets
    rate     : (S,) r, per percentage point of bank assets
    height   : (S,) k, bp
    level    : (S,) a, bp
    effects  : (S, F) vertical shifts, bp
    seen     : (S, 2) lowest and highest ratio fitted to, percent of bank assets
    """

    function: Codes
    location: Array
    rate: Array
    height: Array
    level: Array
    effects: Array
    seen: Array

    def __len__(self) -> int:
        return len(self.function)

    def take(self, rows: NDArray[np.intp]) -> Curves:
        """Some of the draws, in an order of one's own."""
        return Curves(*(getattr(self, name)[rows] for name in self.__slots__))

    def values(self, ratio: Array) -> Array:
        """(S, W) bp at ratios (W,) or (S, W), percent; without effects."""
        return self.level[:, None] + self.height[:, None] * self._functions(ratio)[0]

    def slopes(self, ratio: Array) -> Array:
        """(S, W) bp per percentage point of bank assets at ratios (W,) or (S, W), percent."""
        return (self.height * self.rate)[:, None] * self._functions(ratio)[1]

    def extended(self, ratio: Array) -> tuple[Array, Array]:
        """Values and slopes (S, W) at ratios (W,) or (S, W), where each curve goes straight on beyond what it has seen.

        No data say how a curve bends there, and what is left of a steep end would soon be hundreds of basis points. The
        straight lines have the mean slope of the outermost tenth of the range seen.
        """
        low, high = self.seen[:, :1], self.seen[:, 1:]
        tenth, inside = (high - low) / 10, np.clip(ratio, low, high)
        below = (self.values(low + tenth) - self.values(low)) / tenth
        above = (self.values(high) - self.values(high - tenth)) / tenth
        beyond = np.where(ratio < low, below, above)
        values = self.values(inside) + beyond * (ratio - inside)
        return values, np.where(inside == ratio, self.slopes(inside), beyond)

    def thresholds(self, c: float) -> Array:
        """(S,) x*(c), the ratio above which the curve is flatter than c, by bisection to 1e-9.

        The form itself decides, beyond what was seen too.

        Infinite where it is steeper at every ratio up to 60 percent, zero where it never is, missing where it
        is steeper at the highest ratios but not at all: then more reserves do not flatten it.
        """
        return last_crossing(self.slopes, c, len(self))

    def _functions(self, ratio: Array) -> tuple[Array, Array]:
        v = self.rate[:, None] * (ratio - self.location[:, None])
        h, dh = np.empty_like(v), np.empty_like(v)
        for code in np.unique(self.function):
            rows = self.function == code
            h[rows], dh[rows] = FUNCTIONS[code](v[rows])
        return h, dh


def seen_grid(ratio: Array) -> Array:
    """(121,) ratios over the range of those seen, percent: where a curve may be drawn."""
    return np.linspace(ratio.min(), ratio.max(), 121)


def last_crossing(slopes: Callable[[Array], Array], c: float, size: int) -> Array:
    """The highest ratio at which a slope rises through c; see :meth:`Curves.thresholds`.

    Parameters
    ----------
    slopes : (S, W) ratios in percent -> (S, W) slopes
    size   : S
    """
    grid = np.linspace(0.0, HIGHEST_RATIO, 1201)
    steeper = slopes(np.tile(grid, (size, 1))) < c
    last = steeper.shape[1] - 1 - steeper[:, ::-1].argmax(axis=1)
    low, high = grid[last], grid[np.minimum(last + 1, len(grid) - 1)]
    for _ in range(26):
        middle = (low + high) / 2
        below = slopes(middle[:, None])[:, 0] < c
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    found = np.where(steeper[:, -1], np.where(steeper.all(axis=1), np.inf, np.nan), low)
    return np.where(steeper.any(axis=1), found, 0.0)
