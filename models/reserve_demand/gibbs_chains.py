"""Chains of the Gibbs sampler of drifting regressions: side by side in threads, gated, as one tree of draws.

Equations of a triangular system (each given those before it) have independent posteriors, so that a chain sweeps one
after the other and tells at each kept draw what is computed from all of them, such as a slope.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from os import process_cpu_count
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import DiagnosticsError

# Modules of one package import each other relatively, in folders too: the architecture test asks for it.
from .._posterior import Gate
from .curve_path import require_at_least
from .drifting_system import Equation

if TYPE_CHECKING:
    import xarray as xr

type Array = NDArray[np.float64]
# Coefficient paths by equation, each (T, k) -> (T,), such as a slope.
type Told = Callable[[Mapping[str, Array]], Array]

# Every half year and now: a path of hundreds of weeks is as good as its worst stretch, and neighbours say the same.
_GATED_WEEKS = 26
# More coefficients than that, and drifts mix only by moves with all coefficients integrated out.
_MANY = 10


@dataclass(frozen=True, slots=True)
class GibbsSampler:
    """How long to run, and what to accept.

    chains           : chains
    burn_in          : sweeps of each that are thrown away; proposals are learnt there and then frozen
    draws, every     : draws kept of each chain, and sweeps from one to the next
    max_rhat, min_ess : what every parameter, and the path at every half year, must reach

    A run that fails is repeated once with four times the sweeps; one that fails again is an error.
    """

    chains: int = 4
    burn_in: int = 2000
    draws: int = 1000
    every: int = 10
    max_rhat: float = 1.01
    min_ess: float = 400.0

    def __post_init__(self) -> None:
        require_at_least(self, chains=2, burn_in=100, draws=50, every=1)

    def sample(
        self,
        equations: Mapping[str, Equation],
        weeks: pd.DatetimeIndex,
        tell: Told,
        *,
        seed: int,
        name: str,
    ) -> xr.DataTree:
        """Posterior draws that passed the gate.

        Parameters
        ----------
        weeks : (T,) of all equations
        tell  : what to keep of each draw's coefficient paths, as ``slope``
        seed  : same seed, same draws, whatever the threads
        name  : of the model, for the error message

        Returns
        -------
        tree with ``posterior``, chain x draw: ``slope`` (week), and of each equation E ``drift_E``, ``start_E`` and
        ``coefficients_E`` (regressor; at the first and after the last week), ``volatility_E`` (mu, phi, sigma) and
        ``log_variance_E`` (week)

        Raises
        ------
        DiagnosticsError : names each parameter, its value, the threshold, and what to do
        """
        gate = Gate(max_rhat=self.max_rhat, min_ess=self.min_ess)
        longer = replace(self, burn_in=4 * self.burn_in, every=4 * self.every)
        failures: list[str] = []
        for run in (self, longer):
            tree = _run(equations, weeks, tell, run, seed)
            failures = gate.failures(_gated(tree))
            if not failures:
                return tree
        raise DiagnosticsError(
            f"{name}: the sampler did not converge, also not with {longer.burn_in} + {longer.draws * longer.every} "
            f"sweeps: {'; '.join(failures)}. Use more burn_in and every, a longer sample, or tighter priors."
        )


def _run(
    equations: Mapping[str, Equation], weeks: pd.DatetimeIndex, tell: Told, run: GibbsSampler, seed: int
) -> xr.DataTree:
    from ..kernels.log_chi_square import component_table

    component_table()  # once, before threads would make it each
    sources = np.random.SeedSequence(seed).spawn(run.chains)
    with ThreadPoolExecutor(min(run.chains, process_cpu_count() or 1)) as pool:
        chains = list(pool.map(lambda source: _chain(equations, tell, run, source), sources))
    return _tree({name: np.stack([chain[name] for chain in chains]) for name in chains[0]}, equations, weeks)


def _chain(
    equations: Mapping[str, Equation], tell: Told, run: GibbsSampler, source: np.random.SeedSequence
) -> dict[str, Array]:
    """(draws, ...) arrays of one chain."""
    from ..kernels.drifting_regression import coefficient_paths, initial_state, initial_tuning, sweeps
    from ..kernels.log_chi_square import component_table

    rng, table = np.random.default_rng(source), component_table()
    states = {name: initial_state(e.sample, e.priors, rng) for name, e in equations.items()}
    tunings = {name: initial_tuning(states[name], *_moves(len(e.regressors))) for name, e in equations.items()}

    def advance(n: int, *, learning: bool) -> None:
        for name, e in equations.items():
            sweeps(n, states[name], e.sample, e.priors, tunings[name], table, learning, rng)

    advance(run.burn_in, learning=True)
    kept: dict[str, list[Array]] = {}
    for _ in range(run.draws):
        advance(run.every, learning=False)
        paths = {name: coefficient_paths(state) for name, state in states.items()}
        draw = {"slope": tell(paths)}
        for name, state in states.items():
            draw |= {f"drift_{name}": np.abs(state.drift), f"start_{name}": state.start}
            draw |= {f"coefficients_{name}": paths[name][-1], f"log_variance_{name}": state.h}
            draw |= {f"volatility_{name}": state.volatility}
        for key, value in draw.items():
            kept.setdefault(key, []).append(value.copy())
    return {key: np.array(values) for key, values in kept.items()}


def _moves(k: int) -> tuple[int, int]:
    """Collapsed moves of drifts and of the volatility's parameters in each sweep."""
    return (2 if k > _MANY else 1), 4


def _tree(draws: Mapping[str, Array], equations: Mapping[str, Equation], weeks: pd.DatetimeIndex) -> xr.DataTree:
    import xarray as xr

    dims: dict[str, tuple[str, ...]] = {"slope": ("week",)}
    coords: dict[str, object] = {"week": weeks, "volatility": ["mu", "phi", "sigma"]}
    for name, e in equations.items():
        coords[f"regressor_{name}"] = list(e.regressors)
        dims |= {f"{what}_{name}": (f"regressor_{name}",) for what in ("drift", "start", "coefficients")}
        dims |= {f"volatility_{name}": ("volatility",), f"log_variance_{name}": ("week",)}
    variables = {name: (("chain", "draw", *dims[name]), values) for name, values in draws.items()}
    sizes = draws["slope"].shape[:2]
    coords |= {"chain": np.arange(sizes[0]), "draw": np.arange(sizes[1])}
    return xr.DataTree.from_dict({"posterior": xr.Dataset(variables, coords)})


def _gated(tree: xr.DataTree) -> xr.DataTree:
    """What the gate looks at: paths every half year, counted back from now."""
    import xarray as xr

    posterior = tree["posterior"].to_dataset()
    last = posterior.sizes["week"] - 1
    return xr.DataTree.from_dict({"posterior": posterior.isel(week=np.arange(last, -1, -_GATED_WEEKS)[::-1])})
