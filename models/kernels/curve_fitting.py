"""Fits of curves with up to two bent parameters to many weightings of the same rows.

    y = a'z + k h(v(t)) + e,    v = speed * t - offset

Given the bent parameters the rest is linear and solved exactly; the bent ones move by damped Gauss-Newton steps of the
whole problem (Ruhe and Wedin 1980, algorithm 2). A quantile is fitted by the same steps on a quadratic that lies above
the check function and touches it at the current residuals (Hunter and Lange 2000), made sharper in stages.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..reserve_demand import curve_shapes
from .compiling import kernel

type Array = NDArray[np.float64]

_sigmoid, _pole, _gompertz, _double, _exponential, _arctangent, _line = map(kernel, curve_shapes.FUNCTIONS)

# Of the mean absolute residual: how far from zero the check function is rounded off, stage by stage. The coarse fit of a
# resample ends after two: what is left is far below the noise of resampling.
_ROUNDING = np.array([0.3, 3e-2, 3e-3, 3e-4])
_COARSE, _COARSE_STAGES = 1e-8, 2
_STEPS = 60


class Rows(NamedTuple):
    """Ratio on the unit interval (n,), regressors without a bend (n, q), spread (n,) in bp, and weights (n,)."""

    t: Array
    Z: Array
    y: Array
    weights: Array


class Sample(NamedTuple):
    """Ratio on its unit interval and mirrored (2, n), regressors without a bend (n, q), spread (n,) in bp."""

    t: Array
    Z: Array
    y: Array


class Goal(NamedTuple):
    """What to fit, and how closely.

    bent      : how many bent parameters are free: 2, 1 (the speed) or 0
    level     : of the quantile; 0 for least squares
    tolerance : relative fall of the loss below which steps end; a coarse one rounds the check function more
    """

    bent: int
    level: float
    tolerance: float


class Form(NamedTuple):
    """A branch and its bounds; see ``curve_shapes.Branch``. Height: fixed, bp; 0 where it is free."""

    function: int
    height: float
    low: float
    high: float
    widens: float
    slowest: float
    fastest: float
    bent: int


class Target(NamedTuple):
    """Weights (n,) of the rows, and what is added to the spread (n,), bp: the quadratic that is minimised next."""

    weights: Array
    shift: Array


class Point(NamedTuple):
    """Bent parameters (offset, log speed), linear coefficients (q + 1,) with the height last, and what follows.

    X         : (n, q + 1) regressors and h
    dh        : (n,) h'
    residuals : (n,) bp
    """

    theta: Array
    linear: Array
    X: Array
    dh: Array
    residuals: Array


@kernel
def _function(code: int, v: Array) -> tuple[Array, Array]:
    if code == 0:
        answer = _sigmoid(v)
    elif code == 1:
        answer = _pole(v)
    elif code == 2:
        answer = _gompertz(v)
    elif code == 3:
        answer = _double(v)
    elif code == 4:
        answer = _exponential(v)
    elif code == 5:
        answer = _arctangent(v)
    else:
        answer = _line(v)
    return answer


@kernel
def _solve(X: Array, weights: Array, y: Array, damped: int, damping: float) -> Array:
    """Weighted least squares of y on the columns of X, the last ``damped`` of them held back by a damping."""
    n, p = X.shape
    gram, moment, scale = np.zeros((p, p)), np.zeros(p), np.ones(p)
    for i in range(n):
        for a in range(p):
            weighted = weights[i] * X[i, a]
            moment[a] += weighted * y[i]
            for b in range(a + 1):
                gram[a, b] += weighted * X[i, b]
    for a in range(p):
        if gram[a, a] > 0.0:
            scale[a] = np.sqrt(gram[a, a])
    for a in range(p):
        for b in range(a + 1):
            gram[a, b] /= scale[a] * scale[b]
            gram[b, a] = gram[a, b]
        # A dummy that a resample never met gets coefficient zero instead of an error.
        gram[a, a] += 1e-12 if gram[a, a] > 0.0 else 1.0
        if a >= p - damped:
            gram[a, a] += damping
    return np.asarray(np.linalg.solve(gram, moment / scale) / scale)


@kernel
def _loss(residuals: Array, weights: Array, level: float, rounding: float) -> float:
    """Sum of squares (level zero), or of the check function rounded off near zero."""
    total = 0.0
    for i in range(len(residuals)):
        r = residuals[i]
        if level == 0.0:
            total += weights[i] * r * r
        else:
            rounded = abs(r) - rounding * np.log(rounding + abs(r)) if rounding > 0.0 else abs(r)
            total += weights[i] * (rounded + (2 * level - 1) * r) / 2
    return total


@kernel
def _at(rows: Rows, form: Form, theta: Array, target: Target) -> Point:
    """The nearest curve with given bent parameters."""
    n, q = rows.Z.shape
    h, dh = _function(form.function, np.exp(theta[1]) * rows.t - theta[0])
    X, linear = np.empty((n, q + 1)), np.empty(q + 1)
    X[:, :q], X[:, q] = rows.Z, h
    if form.height == 0.0:
        linear[:] = _solve(X, target.weights, rows.y + target.shift, 0, 0.0)
    else:
        linear[q] = form.height
        linear[:q] = _solve(rows.Z, target.weights, rows.y + target.shift - form.height * h, 0, 0.0)
    return Point(theta, linear, X, dh, rows.y - X @ linear)


@kernel
def _stepped(rows: Rows, form: Form, here: Point, target: Target, damping: float) -> Array:
    """Bent parameters after one damped Gauss-Newton step, inside their bounds."""
    n, q = rows.Z.shape
    free = q + 1 if form.height == 0.0 else q
    J = np.empty((n, free + form.bent))
    J[:, :free] = here.X[:, :free]
    J[:, free + form.bent - 1] = here.linear[q] * here.dh * np.exp(here.theta[1]) * rows.t
    if form.bent == 2:
        J[:, free] = -here.linear[q] * here.dh
    step = _solve(J, target.weights, here.residuals + target.shift, form.bent, damping)
    theta = here.theta.copy()
    theta[1] = min(max(theta[1] + step[free + form.bent - 1], np.log(form.slowest)), np.log(form.fastest))
    if form.bent == 2:
        theta[0] = min(max(theta[0] + step[free], form.low), form.high + form.widens * np.exp(theta[1]))
    return theta


@kernel
def _touching(rows: Rows, here: Point, level: float, rounding: float) -> Target:
    """The quadratic that touches the loss at the residuals and lies above it elsewhere."""
    if level == 0.0:
        return Target(rows.weights, np.zeros(len(rows.y)))
    reach = rounding + np.abs(here.residuals)
    return Target(rows.weights / reach, (2 * level - 1) * reach)


@kernel
def _descended(rows: Rows, form: Form, goal: Goal, here: Point, rounding: float) -> Point:
    """Downhill until the loss no longer falls by a share of the tolerance."""
    loss, damping = _loss(here.residuals, rows.weights, goal.level, rounding), 1e-3
    for _ in range(_STEPS):
        target = _touching(rows, here, goal.level, rounding)
        theta = _stepped(rows, form, here, target, damping) if form.bent > 0 else here.theta
        there = _at(rows, form, theta, target)
        gain = loss - _loss(there.residuals, rows.weights, goal.level, rounding)
        if gain > 0.0:
            here, loss, damping = there, loss - gain, max(damping / 5, 1e-9)
            if gain <= goal.tolerance * loss:
                break
        else:
            damping *= 8
            if damping > 1e4 or form.bent == 0:
                break
    return here


@kernel
def _fitted(rows: Rows, form: Form, goal: Goal, start: Array) -> Point:
    here = _at(rows, form, start.copy(), Target(rows.weights, np.zeros(len(rows.y))))
    if goal.level == 0.0:
        return _descended(rows, form, goal, here, 0.0)
    unit = np.sum(rows.weights * np.abs(here.residuals)) / np.sum(rows.weights)
    for rounding in _ROUNDING[:_COARSE_STAGES] if goal.tolerance > _COARSE else _ROUNDING:
        here = _descended(rows, form, goal, here, unit * rounding)
    return here


@kernel
def fit_curves(
    sample: Sample, weights: Array, branches: Array, starts: tuple[NDArray[np.intp], Array], goal: Goal
) -> tuple[Array, Array, Array]:
    """The curve nearest to y under each weighting of the rows.

    Parameters
    ----------
    weights  : (B, n) how often each row counts
    branches : (K, 8) function, fixed height in bp or 0, low, high, widens, slowest, fastest, mirrored
    starts   : (B,) branch of each weighting, and (B, 2) offset and log speed

    Returns
    -------
    (B, 2) offset and log speed, (B, q + 1) linear coefficients with the height last, (B,) sum of squares or of the
    check function
    """
    B = len(weights)
    theta, linear, loss = np.empty((B, 2)), np.empty((B, sample.Z.shape[1] + 1)), np.empty(B)
    for b in range(B):
        kept, k = np.flatnonzero(weights[b]), branches[starts[0][b]]
        rows = Rows(sample.t[int(k[7])][kept], sample.Z[kept], sample.y[kept], weights[b][kept])
        form = Form(int(k[0]), k[1], k[2], k[3], k[4], k[5], k[6], goal.bent)
        found = _fitted(rows, form, goal, starts[1][b])
        theta[b], linear[b] = found.theta, found.linear
        loss[b] = _loss(found.residuals, rows.weights, goal.level, 0.0)
    return theta, linear, loss
