"""Scores of 520 origins x 13 horizons x 4,000 draws, against scoringrules on the same numbers.

    pytest benchmarks/speed/test_scores_speed.py

A peer's answer must agree before its time counts. Its energy score takes minutes: it is timed on a few origins and scaled up.
Ours uses all cores, as do the compiled rules of scoringrules where they can.
"""

from __future__ import annotations

import timeit
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scoringrules as sr
from numpy.typing import NDArray

from forecast.evaluation.energy_score import energy_score
from forecast.evaluation.scores import crps, score_cell

type Array = NDArray[np.float64]
type Row = Callable[..., None]

ORIGINS, HORIZONS, DRAWS = 520, 13, 4_000
FEW = 4
MEGABYTE = 1e6


@pytest.fixture(scope="module")
def sample() -> tuple[Array, Array]:
    """Draws (origin, horizon, draw), those of a cell contiguous as scoringrules likes them best, and outcomes."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(ORIGINS, HORIZONS, DRAWS)), rng.normal(size=(ORIGINS, HORIZONS))


def fastest(call: Callable[[], object], rounds: int) -> float:
    """Milliseconds of the fastest round."""
    return 1e3 * min(timeit.repeat(call, number=1, repeat=rounds))


def extra_memory(call: Callable[[], object]) -> float:
    """Megabytes allocated at the peak."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / MEGABYTE


def test_crps(sample: tuple[Array, Array], benchmark: Any, row: Row) -> None:
    x, y = sample
    draws = np.moveaxis(x, -1, 0)
    np.testing.assert_allclose(crps(draws, y), sr.crps_ensemble(y, x, estimator="qd"), rtol=1e-9)
    peers = {
        f"scoringrules {sr.__version__} {name}": fastest(lambda name=name: sr.crps_ensemble(y, x, estimator=name), 3)
        for name in ("qd", "pwm")
    }
    benchmark.pedantic(crps, (draws, y), rounds=15, warmup_rounds=1)
    measured, memory = 1e3 * benchmark.stats.stats.min, extra_memory(lambda: crps(draws, y))
    row("CRPS, 520 x 13 x 4,000 draws", measured, "ms", target="≤ 60 ms", holds=measured <= 60, peers=peers)
    row("its memory beside the draws", memory, "MB", target="< 50 MB", holds=memory < 50)
    assert memory < 50
    assert measured < min(peers.values())


def test_crps_of_draws_that_stand_first_in_memory(sample: tuple[Array, Array], benchmark: Any, row: Row) -> None:
    x, y = sample
    draws = np.ascontiguousarray(np.moveaxis(x, -1, 0))
    benchmark.pedantic(crps, (draws, y), rounds=10, warmup_rounds=1)
    row("CRPS, the same with the axis of draws first in memory", 1e3 * benchmark.stats.stats.min, "ms")


def test_energy_score(sample: tuple[Array, Array], benchmark: Any, row: Row) -> None:
    x, y = sample
    paths, outcomes = x.transpose(2, 1, 0), y.T
    theirs = sr.es_ensemble(y[:FEW], np.swapaxes(x[:FEW], 1, 2), m_axis=-2, v_axis=-1)  # compiles
    exact = energy_score(paths[..., :FEW], outcomes[:, :FEW], exact=True)
    np.testing.assert_allclose(exact, theirs, rtol=1e-9)
    few = fastest(lambda: sr.es_ensemble(y[:FEW], np.swapaxes(x[:FEW], 1, 2), m_axis=-2, v_axis=-1), 1)
    slow = fastest(lambda: energy_score(paths[..., :FEW], outcomes[:, :FEW], exact=True), 3) * ORIGINS / FEW
    benchmark.pedantic(energy_score, (paths, outcomes), rounds=15, warmup_rounds=1)
    measured = 1e3 * benchmark.stats.stats.min
    off = np.abs(energy_score(paths, outcomes)[:FEW] / exact - 1).max()
    row(
        "energy score, 520 paths of 13 x 4,000 draws",
        measured,
        "ms",
        target="≤ 50 ms",
        holds=measured <= 50,
        peers={f"scoringrules {sr.__version__}, all pairs": few * ORIGINS / FEW, "ours, all pairs on one core": slow},
        note=f"over 8 D of the D² / 2 pairs, off by at most {100 * off:.2g} % here; all pairs scaled up from {FEW} paths",
    )
    assert off < 0.01


def test_every_score_of_a_cell(benchmark: Any, row: Row) -> None:
    rng = np.random.default_rng(0)
    draws, outcomes = rng.normal(size=(1_000, 4, 3)), rng.normal(size=(4, 3))
    benchmark(score_cell, draws, outcomes, np.ones(3), rng=rng)
    row("all scores of one cell, 1,000 draws x 4 horizons x 3 targets", 1e6 * benchmark.stats.stats.min, "µs")
