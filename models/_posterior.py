"""Posteriors of PyMC models: compile once a process, sample with NUTS, refuse what did not converge.

The same seed gives the same draws in a fresh and in a cached process, on one thread or
several: PyTensor compiles without fast-math, every chain has its own stream, and starting
points do not depend on the data that a program was first compiled with.

References
----------
Hoffman and Gelman (2014), "The No-U-Turn Sampler". Vehtari, Gelman, Simpson, Carpenter and
Bürkner (2021), "Rank-normalization, folding, and localization: an improved R-hat", for
R-hat < 1.01 and ESS >= 400. Betancourt (2016), "Diagnosing suboptimal cotangent
disintegrations", for E-BFMI.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from forecast.errors import DiagnosticsError

if TYPE_CHECKING:
    import pymc as pm
    import xarray as xr

type Data = Mapping[str, NDArray[Any]]

# Threads that run chains side by side. Draws do not depend on it; harness workers share four cores.
_THREADS = 2
_STATISTICS = ("diverging", "energy", "depth", "n_steps", "maxdepth_reached")


class Structure(Hashable, Protocol):
    """What a program is compiled from: a frozen value with one pure function."""

    def model(self, data: Data) -> pm.Model:
        """The PyMC model, its arrays held in ``pm.Data`` of the same names."""
        ...


_PROGRAMS: dict[Structure, Any] = {}


@dataclass(frozen=True, slots=True)
class Gate:
    """What a posterior must pass before anything is computed from it.

    max_rhat        : rank-normalised split R-hat of every parameter stays below
    min_ess         : bulk and tail effective sample size of every parameter reach it
    max_divergences : after tuning
    min_ebfmi       : energy Bayesian fraction of missing information of every chain
    """

    max_rhat: float = 1.01
    min_ess: float = 400.0
    max_divergences: int = 0
    min_ebfmi: float = 0.3

    def failures(self, posterior: xr.DataTree) -> list[str]:
        """Every diagnostic that is not met, with parameter, value and threshold; empty when all are."""
        import arviz as az

        draws = posterior["posterior"].to_dataset()
        with np.errstate(invalid="ignore"):  # 0 / 0 where nothing moved; the result is refused below
            found = [
                *_stuck(draws),
                *_outside(az.rhat(draws), "R-hat", below=self.max_rhat),
                *_outside(az.ess(draws, method="bulk"), "bulk ESS", at_least=self.min_ess),
                *_outside(az.ess(draws, method="tail"), "tail ESS", at_least=self.min_ess),
            ]
        if "sample_stats" not in posterior.children:  # a Gibbs sampler has no trajectories
            return found
        statistics = posterior["sample_stats"].to_dataset()
        divergent = int(statistics["diverging"].sum())
        if divergent > self.max_divergences:
            found.append(f"{divergent} divergent transitions (at most {self.max_divergences})")
        if "maxdepth_reached" in statistics and bool(statistics["maxdepth_reached"].any()):
            found.append(
                f"{int(statistics['maxdepth_reached'].sum())} trajectories cut at the depth limit (none allowed)"
            )
        worst = float(np.min(ebfmi(statistics["energy"].to_numpy())))
        if not worst >= self.min_ebfmi:
            found.append(f"E-BFMI {worst:.2f} (at least {self.min_ebfmi:g})")
        return found


def ebfmi(energy: NDArray[np.float64]) -> NDArray[np.float64]:
    """mean((E(i) - E(i-1))²) / var(E), by chain.

    Parameters
    ----------
    energy : (chains, draws)

    Returns
    -------
    (chains,) low where momentum resampling explores the energy slowly, as in a funnel
    """
    steps: NDArray[np.float64] = np.square(np.diff(energy, axis=1)).mean(axis=1)
    return steps / energy.var(axis=1)


def _stuck(draws: xr.Dataset) -> list[str]:
    """A sentence for every parameter that some chain never moved; R-hat and ESS call a constant perfect."""
    still = {name: int((values.std("draw") == 0).sum()) for name, values in draws.data_vars.items()}
    return [f"{name!r} never moved in {chains} chains" for name, chains in still.items() if chains]


def _outside(values: xr.Dataset, what: str, *, below: float = np.inf, at_least: float = -np.inf) -> list[str]:
    """A sentence for every parameter outside; a value that is not a number is outside."""
    found = []
    limit = f"below {below:g}" if np.isfinite(below) else f"at least {at_least:g}"
    for name, value in values.data_vars.items():
        worst = float(value.max(skipna=False) if np.isfinite(below) else value.min(skipna=False))
        if not (worst < below and worst >= at_least):
            found.append(f"{what} of {name!r} is {worst:.4g} (must be {limit})")
    return found


@dataclass(frozen=True, slots=True)
class Sampler:
    """How long to run, and what to accept.

    chains, tune, draws : chains, and iterations of each before and after tuning ends
    target_accept       : acceptance rate that sets the step size
    keep                : draws left after thinning
    gate                : diagnostics that must be passed before thinning

    A run that fails the gate is repeated once with twice the iterations and shorter steps: most failures are short runs,
    or steps too long for a sharp corner. One that fails again is an error: a posterior without a bottom or with hills far
    apart takes hours to fail.
    """

    chains: int = 4
    tune: int = 400
    draws: int = 800
    target_accept: float = 0.95
    keep: int = 1000
    gate: Gate = Gate()

    def sample(self, program: Any, *, seed: int, name: str) -> xr.DataTree:
        """Posterior draws that passed the gate.

        Parameters
        ----------
        program : from ``compiled`` or ``compile_model``
        seed    : same seed, same draws
        name    : of the model, for the error message

        Returns
        -------
        tree with ``posterior`` and ``sample_stats``, chain x draw, thinned to about ``keep`` draws

        Raises
        ------
        DiagnosticsError : names each parameter, its value, the threshold, and what to do
        """
        longer = replace(self, tune=2 * self.tune, draws=2 * self.draws, target_accept=max(self.target_accept, 0.99))
        failures: list[str] = []
        for run in (self, longer):
            tree = _run(program, run, seed)
            failures = self.gate.failures(tree)
            if not failures:
                return thin(tree, self.keep)
        raise DiagnosticsError(
            f"{name}: the sampler did not converge, also not with {longer.tune} + {longer.draws} iterations: "
            f"{'; '.join(failures)}. Use more tune and draws, a longer sample, or tighter priors."
        )


def _run(program: Any, sampler: Sampler, seed: int) -> xr.DataTree:
    import nutpie
    import xarray as xr

    tree = nutpie.sample(
        program,
        chains=sampler.chains,
        tune=sampler.tune,
        draws=sampler.draws,
        target_accept=sampler.target_accept,
        # Kink, slope and level are correlated; a diagonal metric needs twice the steps for a third of the sample size.
        adaptation="low_rank",
        seed=seed,
        cores=min(_THREADS, sampler.chains),
        progress_bar=False,
        save_warmup=False,
    )
    statistics = tree["sample_stats"].to_dataset()
    kept = statistics[[name for name in _STATISTICS if name in statistics]]
    return xr.DataTree.from_dict({"posterior": tree["posterior"].to_dataset(), "sample_stats": kept})


def thin(tree: xr.DataTree, keep: int) -> xr.DataTree:
    """Every n-th draw of every chain, n the largest that leaves at least ``keep`` draws in all."""
    import xarray as xr

    sizes = tree["posterior"].sizes
    step = max(1, sizes["chain"] * sizes["draw"] // keep)
    groups = {name: tree[name].to_dataset().isel(draw=slice(step - 1, None, step)) for name in tree.children}
    return xr.DataTree.from_dict(groups)


def flat(tree: xr.DataTree, name: str) -> NDArray[np.float64]:
    """(S, ...) draws of one parameter, chains one after the other."""
    values: NDArray[np.float64] = tree["posterior"][name].transpose("chain", "draw", ...).to_numpy()
    return values.reshape(-1, *values.shape[2:])


def compiled(structure: Structure, data: Data) -> Any:
    """The compiled program of a structure, holding ``data``; compiled once a process, for samples of any length."""
    if structure not in _PROGRAMS:
        # From zeros, whatever the first sample is: nothing of it can stay behind in the program.
        _PROGRAMS[structure] = compile_model(structure.model({name: np.zeros_like(data[name]) for name in data}))
    return _PROGRAMS[structure].with_data(**data)


def compile_model(model: pm.Model) -> Any:
    """A PyMC model as machine code."""
    import nutpie
    from pytensor.configdefaults import config

    # With fast-math a function from the cache and a freshly compiled one differ in the last bit.
    config.numba__fastmath = False
    return nutpie.compile_pymc_model(model)
