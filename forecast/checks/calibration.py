"""Is a sampler right? Simulation-based calibration and the joint distribution test, for any prior, data and sampler.

A sampler that converges may still sample the wrong posterior: a missing Jacobian, a variance in place of a standard
deviation, a lag off by one. Both checks need nothing but the model itself.

    found = simulation_based_calibration(simulate, posterior, log_likelihood=log_likelihood)
    assert not found.failing, found

Simulation-based calibration: draw parameters from the prior and data from the parameters, sample the posterior of
those data; the rank of each true value among its posterior draws is uniform. The joint distribution test asks less
time of a Gibbs sampler: data drawn anew in every sweep turn it into a sampler of the prior.

References
----------
Talts, Betancourt, Simpson, Vehtari and Gelman (2018), "Validating Bayesian inference algorithms with simulation-based
calibration". Modrák and others (2025), Bayesian Analysis 20: a quantity that depends on the data, such as the
likelihood, is what notices a posterior that ignores them. Säilynoja, Bürkner and Vehtari (2022), Statistics and
Computing 32, for the simultaneous band. Geweke (2004), "Getting it right", JASA 99.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from forecast.errors import UsageError
from forecast.evaluation.multiplicity import holm

type Array = NDArray[np.float64]
# Any: what a caller computes with are its own arrays.
type Parameters = Mapping[str, Any]

# Null draws of the band: p-values down to 1e-5, enough for Holm at one percent over hundreds of quantities.
_NULL_DRAWS = 100_000
_PATIENCE = 2.0  # seconds before a bar appears
MINIMUM_FUNCTIONS = 20


# --------------------------------------------------------------------------- simulation-based calibration


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Ranks of true values among posterior draws.

    ranks   : quantity -> (N,) number of the ``n_draws`` posterior draws below the true value, ties broken at random
    n_draws : L; a rank lies between 0 and L
    level   : chance of naming any quantity of a right sampler
    table   : by quantity: p_value of the simultaneous band, holm (adjusted over quantities), mean_rank in [0, 1];
              below one half the posterior lies too high
    """

    ranks: Mapping[str, NDArray[np.intp]]
    n_draws: int
    level: float
    table: pd.DataFrame

    @property
    def failing(self) -> tuple[str, ...]:
        """Quantities whose ranks are not uniform, the worst first."""
        worst = self.table[self.table["holm"] < self.level].sort_values("p_value")
        return tuple(map(str, worst.index))

    def __str__(self) -> str:
        n = len(next(iter(self.ranks.values())))
        if not self.failing:
            return f"{len(self.ranks)} quantities calibrated over {n} simulations"
        p_values = self.table["p_value"].loc[list(self.failing)]
        found = ", ".join(f"{name} (p = {p_value:.2g})" for name, p_value in p_values.items())
        return f"not calibrated over {n} simulations: {found}"


def simulation_based_calibration[Data](
    simulate: Callable[[np.random.Generator], tuple[Parameters, Data]],
    posterior: Callable[[Data, np.random.Generator], Parameters],
    *,
    log_likelihood: Callable[[Parameters, Data], float],
    events: Mapping[str, Callable[[Parameters, Data], float]] | None = None,
    n_simulations: int = 200,
    n_draws: int = 99,
    level: float = 0.01,
    seed: int = 0,
    threads: int = 1,
) -> Calibration:
    """Ranks of prior draws among the posterior draws of data simulated from them.

    Parameters
    ----------
    simulate       : rng -> (parameters by name, data): a draw of the prior, and data from those parameters
    posterior      : (data, rng) -> draws by name, (S, ...) with S >= ``n_draws``; thinned evenly, so give draws whose
                     every (S / n_draws)-th is nearly independent. Parameters it does not return are not ranked
    log_likelihood : (parameters, data) -> joint log density of the data; the quantity that notices ignored data
    events         : further quantities by name, such as a forecast beyond a threshold (0 or 1) or a log prior density
    n_simulations  : N; 200 find a standard deviation that is wrong by half, several quantities together finer errors
    n_draws        : L posterior draws that each truth is ranked among
    level          : family-wise, over all quantities (Holm)
    seed, threads  : each simulation has its own stream, so threads change nothing but time

    Returns
    -------
    ranks and p-values by scalar quantity; entries of arrays are "name[i,j]"

    Raises
    ------
    UsageError : the posterior has fewer than ``n_draws`` draws, or other shapes than the prior
    """
    quantities = {"log likelihood": log_likelihood} | dict(events or {})

    def simulation(source: np.random.SeedSequence) -> dict[str, int]:
        rng = np.random.default_rng(source)
        parameters, data = simulate(rng)
        draws = thinned(posterior(data, rng), n_draws)
        true, drawn = _scalars(parameters, draws)
        for name, quantity in quantities.items():
            true[name] = float(quantity(parameters, data))
            drawn[name] = np.array([quantity({k: v[i] for k, v in draws.items()}, data) for i in range(n_draws)])
        return {name: rank(true[name], drawn[name], rng) for name in true}

    sources = np.random.SeedSequence(seed).spawn(n_simulations)
    with ThreadPoolExecutor(threads) as pool:
        rows = list(_watched(pool.map(simulation, sources), n_simulations, "simulations"))
    ranks = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    p_values = pd.Series({name: uniformity_p_value(values, n_draws) for name, values in ranks.items()})
    middle = {name: float(values.mean()) / n_draws for name, values in ranks.items()}
    table = pd.DataFrame({"p_value": p_values, "holm": holm(p_values), "mean_rank": pd.Series(middle)})
    return Calibration(ranks, n_draws, level, table)


def thinned(draws: Parameters, n: int) -> dict[str, Array]:
    """``n`` evenly spaced draws of each parameter, (n, ...).

    Raises
    ------
    UsageError : fewer than ``n``
    """
    arrays = {name: np.asarray(values, dtype=float) for name, values in draws.items()}
    for name, values in arrays.items():
        if len(values) < n:
            raise UsageError(f"{name!r} has {len(values)} posterior draws; at least {n} are ranked. Sample longer.")
    return {name: v[(np.arange(1, n + 1) * len(v)) // n - 1] for name, v in arrays.items()}


def rank(true: float, draws: Array, rng: np.random.Generator) -> int:
    """Number of draws below the truth; each draw that equals it counts as below with a uniform share of the ties."""
    return int((draws < true).sum()) + int(rng.integers(int((draws == true).sum()) + 1))


def uniformity_p_value(ranks: ArrayLike, n_draws: int) -> float:
    """p-value of the largest departure of the ranks' distribution function from uniform, at all points at once.

        gamma = min over z of 2 min[ P(B <= R(z)), P(B >= R(z)) ],   B ~ Binomial(N, z),  R(z) = number of ranks <= z

    and the p-value is the chance of a smaller gamma under uniform ranks, by simulation.

    Parameters
    ----------
    ranks : (N,) in 0, ..., n_draws
    """
    counts = np.bincount(np.asarray(ranks, dtype=np.intp), minlength=n_draws + 1)
    null = _null(int(counts.sum()), n_draws)
    observed = _smallest_tail(counts[None], n_draws)[0]
    # Gammas are products of the same table, so that equal ones are equal to the last bit.
    return float((1 + np.searchsorted(null, observed, side="right")) / (1 + len(null)))


def ecdf_band(n_simulations: int, n_draws: int, level: float = 0.01) -> tuple[Array, Array]:
    """Simultaneous band of the ranks' distribution function less the uniform one.

    Returns
    -------
    lower, upper : (n_draws,) at z = 1 / (L + 1), ..., L / (L + 1): with probability 1 - level the differences of a
                   calibrated quantity stay inside at every z
    """
    gamma = np.quantile(_null(n_simulations, n_draws), level)
    inside = _tails(n_simulations, n_draws) >= gamma
    z = _points(n_draws)
    lower = inside.argmax(axis=0) / n_simulations - z
    upper = (n_simulations - inside[::-1].argmax(axis=0)) / n_simulations - z
    return lower, upper


def ecdf_difference(ranks: ArrayLike, n_draws: int) -> Array:
    """(n_draws,) share of ranks up to each point, less the point: what lies inside :func:`ecdf_band` or does not."""
    counts = np.bincount(np.asarray(ranks, dtype=np.intp), minlength=n_draws + 1)
    difference: Array = np.cumsum(counts)[:-1] / counts.sum() - _points(n_draws)
    return difference


def _points(n_draws: int) -> Array:
    return np.arange(1, n_draws + 1) / (n_draws + 1)


@lru_cache(maxsize=8)
def _tails(n: int, n_draws: int) -> Array:
    """(n + 1, n_draws) two-sided tail probability of each count at each point."""
    from scipy.stats import binom

    count, z = np.arange(n + 1)[:, None], _points(n_draws)
    return np.asarray(2 * np.minimum(binom.cdf(count, n, z), binom.sf(count - 1, n, z)))


def _smallest_tail(counts: NDArray[np.intp], n_draws: int) -> Array:
    """(M,) gamma of (M, n_draws + 1) counts of ranks."""
    below = np.cumsum(counts, axis=1)
    tails: Array = _tails(int(below[0, -1]), n_draws)[below[:, :-1], np.arange(n_draws)].min(axis=1)
    return tails


@lru_cache(maxsize=8)
def _null(n: int, n_draws: int) -> Array:
    """Sorted gammas of uniform ranks, from a fixed stream."""
    rng = np.random.default_rng(np.random.SeedSequence(0, spawn_key=(n, n_draws)))
    even = np.full(n_draws + 1, 1 / (n_draws + 1))
    return np.sort(
        np.concatenate([_smallest_tail(rng.multinomial(n, even, 5_000), n_draws) for _ in range(_NULL_DRAWS // 5_000)])
    )


def _scalars(parameters: Parameters, draws: Mapping[str, Array]) -> tuple[dict[str, float], dict[str, Array]]:
    """Entries of true parameters and of their (n, ...) draws under the same names."""
    true: dict[str, float] = {}
    drawn: dict[str, Array] = {}
    for name, values in draws.items():
        truth = np.asarray(parameters[name], dtype=float)
        if truth.shape != values.shape[1:]:
            raise UsageError(f"{name!r} has shape {truth.shape} in the prior and {values.shape[1:]} in the posterior.")
        for index in np.ndindex(truth.shape):
            label = f"{name}[{','.join(map(str, index))}]" if index else name
            true[label], drawn[label] = float(truth[index]), values[(slice(None), *index)]
    return true, drawn


# --------------------------------------------------------------------------- the joint distribution test


@dataclass(frozen=True, slots=True, eq=False)
class JointTest:
    """Moments of the joint distribution of parameters and data, computed in two ways.

    table : by function: marginal and successive mean, z = difference over its standard error, effective size
            of the successive draws
    limit : |z| that a right sampler stays below
    """

    table: pd.DataFrame
    limit: float

    @property
    def failing(self) -> tuple[str, ...]:
        """Functions with |z| at the limit or above, the worst first; one without a z fails."""
        size = self.table["z"].abs().fillna(np.inf)
        return tuple(map(str, size[size >= self.limit].sort_values(ascending=False).index))

    def __str__(self) -> str:
        if not self.failing:
            return f"{len(self.table)} moments agree, largest |z| {self.table['z'].abs().max():.2f}"
        z = self.table["z"].loc[list(self.failing)]
        return "moments differ: " + ", ".join(f"{name} (z = {value:.1f})" for name, value in z.items())


def joint_distribution_test(marginal: Parameters, successive: Parameters, *, limit: float = 4.0) -> JointTest:
    """Do independent draws from prior and model, and sweeps over data drawn anew each time, have the same moments?

        z(g) = (mean of g, marginal - mean of g, successive) / sqrt(var / n + var / ess)

    for g each statistic, its square, and each product of two.

    Parameters
    ----------
    marginal   : name -> (n,) or (n, k) statistics of independent draws (parameters, data) of the joint distribution
    successive : the same names, of a chain that alternates a sweep of the sampler with new data
                 (:func:`successive_draws`). Statistics need finite fourth moments: give logarithms of variances
    limit      : of |z|

    Raises
    ------
    UsageError : fewer than 20 functions, or other names
    """
    if set(marginal) != set(successive):
        raise UsageError(f"marginal statistics {sorted(marginal)}, successive {sorted(successive)}; give the same.")
    one, other = _columns(marginal), _columns(successive)
    functions = [(name, (name,)) for name in one] + [(f"{name}^2", (name, name)) for name in one]
    functions += [(f"{a} * {b}", (a, b)) for a, b in combinations(one, 2)]
    if len(functions) < MINIMUM_FUNCTIONS:
        raise UsageError(f"{len(functions)} moments of {len(one)} statistics; give more, for instance of the data.")
    rows = {label: _compared(_product(one, names), _product(other, names)) for label, names in functions}
    return JointTest(pd.DataFrame.from_dict(rows, orient="index"), limit)


def successive_draws[State, Data](
    start: tuple[State, Data],
    sweep: Callable[[State, Data, np.random.Generator], State],
    simulate_data: Callable[[State, np.random.Generator], Data],
    statistics: Callable[[State, Data], Mapping[str, float]],
    *,
    n: int,
    rng: np.random.Generator,
) -> dict[str, Array]:
    """Statistics of a chain that alternates one sweep given the data with data given the parameters.

    Parameters
    ----------
    start         : a draw of the joint distribution, so that no burn-in is needed
    sweep         : (parameters, data, rng) -> parameters; what is tested
    simulate_data : (parameters, rng) -> data
    n             : sweeps

    Returns
    -------
    name -> (n,)
    """
    state, data = start
    rows = []
    for _ in _watched(range(n), n, "sweeps"):
        state = sweep(state, data, rng)
        data = simulate_data(state, rng)
        rows.append(statistics(state, data))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def effective_size(draws: ArrayLike) -> float:
    """Number of independent draws whose mean is as uncertain as that of one autocorrelated chain.

        n / (-1 + 2 sum of rho(2j) + rho(2j+1)),  summed while the pairs are positive, and made to fall

    Parameters
    ----------
    draws : (n,); NaN for a chain that never moves

    References
    ----------
    Geyer (1992), Statistical Science 7, initial monotone sequence.
    """
    values = np.asarray(draws, dtype=float)
    n = len(values)
    deviation = values - values.mean()
    spectrum = np.abs(np.fft.rfft(deviation, 2 * n)) ** 2
    covariance = np.fft.irfft(spectrum)[:n] / n
    if not covariance[0] > 0:
        return float("nan")
    pairs = (covariance[: n - n % 2] / covariance[0]).reshape(-1, 2).sum(axis=1)
    positive = pairs[: len(pairs) if (pairs > 0).all() else int((pairs <= 0).argmax())]
    time = 2 * float(np.minimum.accumulate(positive).sum()) - 1
    # A chain that swings around its mean is better than an independent one, but not without bound.
    return float(n / max(time, 1 / np.log10(n)))


def _columns(statistics: Parameters) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for name, values in statistics.items():
        columns = np.asarray(values, dtype=float)
        wide = columns.reshape(len(columns), -1)
        labels = [name] if columns.ndim == 1 else [f"{name}[{j}]" for j in range(wide.shape[1])]
        found |= dict(zip(labels, wide.T, strict=True))
    return found


def _product(columns: Mapping[str, Array], names: tuple[str, ...]) -> Array:
    values: Array = np.prod([columns[name] for name in names], axis=0)
    return values


def _compared(marginal: Array, successive: Array) -> dict[str, float]:
    size = effective_size(successive)
    error = np.sqrt(marginal.var() / len(marginal) + successive.var() / size)
    one, other = float(marginal.mean()), float(successive.mean())
    return {"marginal": one, "successive": other, "z": (one - other) / error, "effective_size": size}


def _watched[T](steps: Iterable[T], total: int, what: str) -> Iterator[T]:
    """A bar on standard error for those who wait at a terminal, once it has taken two seconds."""
    from rich.console import Console
    from rich.progress import Progress

    console, started = Console(stderr=True), monotonic()
    with ExitStack() as stack:
        bar, task = None, None
        for done, step in enumerate(steps, start=1):
            yield step
            if bar is None and console.is_terminal and monotonic() - started > _PATIENCE:
                bar = stack.enter_context(Progress(console=console, transient=True))
                task = bar.add_task(what, total=total)
            if bar is not None and task is not None:
                bar.update(task, completed=done)
