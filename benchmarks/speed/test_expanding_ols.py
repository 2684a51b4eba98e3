"""Least squares at 520 expanding origins of 1,100 weeks and 7 columns, against peers on the same data.

    pytest benchmarks/speed/test_expanding_ols.py

prints how many times longer each peer takes. A peer's answer must agree before its time counts.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.numerics.expanding import expanding_least_squares

type Array = NDArray[np.float64]

T, K, ORIGINS, HORIZONS = 1_100, 7, 520, 13
FIRST = T - ORIGINS
TARGET = 100
PROMISE = f">= {TARGET}x a statsmodels loop"


def sample() -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    X = np.column_stack([np.ones(T), rng.normal(size=(T, K - 1))])
    return X, X @ rng.normal(size=K) + rng.normal(size=T)


def leads(y: Array) -> Array:
    """y(t), ..., y(t+12); what is not yet known at the end is zero and read by no origin."""
    padded = np.concatenate([y, np.zeros(HORIZONS - 1)])
    return np.lib.stride_tricks.sliding_window_view(padded, HORIZONS)


def ours(X: Array, y: Array) -> Array:
    return expanding_least_squares(X, y, FIRST).coefficients[FIRST:]


def statsmodels_loop(X: Array, y: Array) -> Array:
    import statsmodels.api as sm

    return np.array([sm.OLS(y[: t + 1], X[: t + 1]).fit().params for t in range(FIRST, T)])


def statsmodels_rolling(X: Array, y: Array) -> Array:
    from statsmodels.regression.rolling import RollingOLS

    fit = RollingOLS(y, X, window=T, min_nobs=FIRST + 1, expanding=True).fit(params_only=True)
    return np.asarray(fit.params)[FIRST:]


def numpy_loop(X: Array, y: Array) -> Array:
    return np.array([np.linalg.lstsq(X[: t + 1], y[: t + 1])[0] for t in range(FIRST, T)])


PEERS: dict[str, Callable[[Array, Array], Array]] = {
    "statsmodels OLS loop": statsmodels_loop,
    "statsmodels RollingOLS(expanding)": statsmodels_rolling,
    "numpy lstsq loop": numpy_loop,
}


def fastest(call: Callable[[], Array], rounds: int = 5) -> float:
    """Milliseconds of the fastest round."""
    return 1e3 * min(timeit.repeat(call, number=1, repeat=rounds))


def test_one_regression_at_each_origin(benchmark: Any, row: Callable[..., None]) -> None:
    X, y = sample()
    peers = {}
    for name, peer in PEERS.items():
        np.testing.assert_allclose(ours(X, y), peer(X, y), rtol=1e-10, atol=1e-12)
        peers[name] = fastest(partial(peer, X, y))
    benchmark.pedantic(ours, (X, y), rounds=30, warmup_rounds=1)
    measured = 1e3 * benchmark.stats.stats.min
    holds = peers["statsmodels OLS loop"] > TARGET * measured
    row("least squares, 520 expanding origins", measured, "ms", target=PROMISE, holds=holds, peers=peers)
    assert holds


def test_local_projections_at_each_origin(benchmark: Any, row: Callable[..., None]) -> None:
    X, y = sample()
    Y = leads(y)
    peers = {"statsmodels OLS loop": HORIZONS * fastest(partial(statsmodels_loop, X, y))}
    fit = benchmark.pedantic(expanding_least_squares, (X, Y, FIRST), rounds=30, warmup_rounds=1)
    last = T - HORIZONS
    alone = np.linalg.lstsq(X[: last + 1], Y[: last + 1])[0]
    np.testing.assert_allclose(fit.coefficients[last], alone, rtol=1e-10, atol=1e-12)
    measured = 1e3 * benchmark.stats.stats.min
    holds = peers["statsmodels OLS loop"] > TARGET * measured
    what, note = (
        "local projections, 13 horizons, 520 expanding origins",
        "the peer's time is 13 times that of one horizon",
    )
    row(what, measured, "ms", target=PROMISE, holds=holds, peers=peers, note=note)
    assert holds
