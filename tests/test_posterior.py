"""The gate trips on what should not be used, sampling agrees with closed forms, and a seed is a result."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

xr = pytest.importorskip("xarray")
pytest.importorskip("pymc")
pytest.importorskip("nutpie")

import models._posterior as posterior_module  # noqa: E402
from forecast.errors import DiagnosticsError  # noqa: E402
from models._posterior import Gate, Sampler, compile_model, compiled, ebfmi, flat, thin  # noqa: E402

CHAINS, DRAWS = 4, 500


def tree(energy: Any = None, diverging: Any = None, deep: Any = None, **parameters: Any) -> Any:
    """A posterior as a sampler would return it."""
    rng = np.random.default_rng(7)
    shape = next(iter(parameters.values())).shape[:2]
    chain_draw = ("chain", "draw")
    variables = {
        name: ((*chain_draw, *(f"{name}_dim" for _ in values.shape[2:])), values) for name, values in parameters.items()
    }
    statistics = {
        "energy": (chain_draw, rng.standard_normal(shape) if energy is None else energy),
        "diverging": (chain_draw, np.zeros(shape, dtype=bool) if diverging is None else diverging),
        "maxdepth_reached": (chain_draw, np.zeros(shape, dtype=bool) if deep is None else deep),
    }
    return xr.DataTree.from_dict({"posterior": xr.Dataset(variables), "sample_stats": xr.Dataset(statistics)})


@pytest.fixture
def normal() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((CHAINS, DRAWS))


# --------------------------------------------------------------------------- gate


def test_independent_draws_pass(normal: np.ndarray) -> None:
    assert Gate().failures(tree(kink=normal, gamma=np.random.default_rng(2).standard_normal((4, 500, 3)))) == []


def test_a_stuck_chain_is_refused(normal: np.ndarray) -> None:
    stuck = normal.copy()
    stuck[2] = 0.3
    failures = Gate().failures(tree(kink=stuck, beta=normal))
    assert any(text.startswith("R-hat of 'kink'") and "must be below 1.01" in text for text in failures)
    assert not any("beta" in text for text in failures)


def test_all_chains_stuck_at_one_value_are_refused(normal: np.ndarray) -> None:
    failures = Gate().failures(tree(kink=np.ones_like(normal), beta=normal))
    assert "'kink' never moved in 4 chains" in failures
    assert not any("beta" in text for text in failures)


def test_chains_in_two_modes_are_refused(normal: np.ndarray) -> None:
    bimodal = normal + np.array([0.0, 0.0, 6.0, 6.0])[:, None]
    failures = Gate().failures(tree(kink=bimodal))
    assert any("R-hat of 'kink'" in text for text in failures)
    assert any("bulk ESS of 'kink'" in text for text in failures)


def test_one_divergence_is_refused_and_counted(normal: np.ndarray) -> None:
    diverging = np.zeros(normal.shape, dtype=bool)
    diverging[1, 17] = True
    assert Gate().failures(tree(kink=normal, diverging=diverging)) == ["1 divergent transitions (at most 0)"]
    assert Gate(max_divergences=1).failures(tree(kink=normal, diverging=diverging)) == []


def test_a_trajectory_cut_short_is_refused(normal: np.ndarray) -> None:
    deep = np.zeros(normal.shape, dtype=bool)
    deep[0, :3] = True
    assert "3 trajectories" in Gate().failures(tree(kink=normal, deep=deep))[0]


def test_an_energy_that_hardly_moves_is_refused(normal: np.ndarray) -> None:
    slow = np.cumsum(normal, axis=1)
    assert any("E-BFMI" in text and "at least 0.3" in text for text in Gate().failures(tree(kink=normal, energy=slow)))


def test_twenty_draws_are_too_few(normal: np.ndarray) -> None:
    assert any("ESS" in text for text in Gate().failures(tree(kink=normal[:, :20])))


def test_slow_mixing_is_refused_although_chains_agree() -> None:
    rng = np.random.default_rng(3)
    chains = np.zeros((CHAINS, DRAWS))
    for draw in range(1, DRAWS):
        chains[:, draw] = 0.97 * chains[:, draw - 1] + rng.standard_normal(CHAINS)
    assert any("ESS of 'kink'" in text for text in Gate().failures(tree(kink=chains)))


def test_a_value_that_is_not_a_number_is_refused(normal: np.ndarray) -> None:
    broken = normal.copy()
    broken[0, 0] = np.nan
    assert any("'kink'" in text for text in Gate().failures(tree(kink=broken)))


def test_the_worst_element_of_a_vector_counts(normal: np.ndarray) -> None:
    vector = np.random.default_rng(4).standard_normal((CHAINS, DRAWS, 3))
    vector[3, :, 1] += 5
    assert any("'gamma'" in text for text in Gate().failures(tree(kink=normal, gamma=vector)))


def test_ebfmi_agrees_with_arviz(normal: np.ndarray) -> None:
    import arviz as az

    theirs = az.bfmi(tree(kink=normal, energy=np.cumsum(normal, axis=1) + 5 * normal))
    ours = ebfmi(np.cumsum(normal, axis=1) + 5 * normal)
    np.testing.assert_allclose(ours, theirs["energy"].to_numpy(), rtol=1e-2)


# --------------------------------------------------------------------------- thinning


def test_thinning_keeps_every_chain_and_spreads_over_each(normal: np.ndarray) -> None:
    thinned = thin(tree(kink=normal), 400)
    assert thinned["posterior"].sizes == {"chain": 4, "draw": 100}
    np.testing.assert_array_equal(thinned["posterior"]["kink"], normal[:, 4::5])
    assert thinned["sample_stats"].sizes["draw"] == 100


def test_thinning_to_more_than_there_is_changes_nothing(normal: np.ndarray) -> None:
    assert thin(tree(kink=normal), 10**6)["posterior"].sizes["draw"] == DRAWS


def test_flat_puts_chains_one_after_the_other() -> None:
    vector = np.arange(4 * 5 * 3.0).reshape(4, 5, 3)
    np.testing.assert_array_equal(flat(tree(gamma=vector), "gamma"), vector.reshape(20, 3))


# --------------------------------------------------------------------------- a second, longer run


def runs(monkeypatch: pytest.MonkeyPatch, *trees: Any) -> list[Sampler]:
    """Let the sampler return ``trees`` one after the other; the list fills with what was asked."""
    asked: list[Sampler] = []
    left = list(trees)

    def run(program: Any, sampler: Sampler, seed: int) -> Any:
        asked.append(sampler)
        return left.pop(0)

    monkeypatch.setattr(posterior_module, "_run", run)
    return asked


def test_a_failed_run_is_repeated_once_longer_and_with_shorter_steps(
    monkeypatch: pytest.MonkeyPatch, normal: np.ndarray
) -> None:
    short = tree(kink=normal[:, :20])
    asked = runs(monkeypatch, short, tree(kink=normal))
    Sampler(tune=300, draws=200).sample(None, seed=1, name="toy")
    settings = [(run.tune, run.draws, run.target_accept) for run in asked]
    assert settings == [(300, 200, 0.95), (600, 400, 0.99)]


def test_a_run_that_passes_is_not_repeated(monkeypatch: pytest.MonkeyPatch, normal: np.ndarray) -> None:
    asked = runs(monkeypatch, tree(kink=normal))
    Sampler().sample(None, seed=1, name="toy")
    assert len(asked) == 1


def test_a_second_failure_names_parameter_value_threshold_and_remedy(
    monkeypatch: pytest.MonkeyPatch, normal: np.ndarray
) -> None:
    bimodal = tree(kink=normal + np.array([0.0, 0.0, 6.0, 6.0])[:, None])
    runs(monkeypatch, bimodal, bimodal)
    with pytest.raises(DiagnosticsError, match=r"toy: .*R-hat of 'kink' is \d\.\d+ \(must be below 1\.01\).*Use more"):
        Sampler().sample(None, seed=1, name="toy")


# --------------------------------------------------------------------------- closed form and seeds


@dataclass(frozen=True)
class NormalMean:
    """mu ~ Normal(0, 2), y ~ Normal(mu, 1): conjugate. theta ~ Normal(-1, 3) sees no data."""

    def model(self, data: Any) -> Any:
        import pymc as pm

        with pm.Model() as model:
            y = pm.Data("y", data["y"], dims="row")
            mu = pm.Normal("mu", 0.0, 2.0)
            pm.Normal("theta", -1.0, 3.0)
            pm.Potential("likelihood", -0.5 * ((y - mu) ** 2).sum())
        return model


def sample(y: np.ndarray, seed: int = 11, sampler: Sampler | None = None) -> Any:
    sampler = sampler or Sampler(keep=10**6)
    return sampler.sample(compiled(NormalMean(), {"y": y}), seed=seed, name="toy")


@pytest.fixture(scope="module")
def observed() -> np.ndarray:
    return np.random.default_rng(5).normal(1.5, 1.0, size=40)


def test_posterior_agrees_with_the_closed_form(observed: np.ndarray) -> None:
    import arviz as az

    result = sample(observed)
    precision = 1 / 2.0**2 + len(observed)
    truth = {"mu": (observed.sum() / precision, precision**-0.5), "theta": (-1.0, 3.0)}
    mcse = az.mcse(result["posterior"].to_dataset())
    for name, (mean, deviation) in truth.items():
        draws = flat(result, name)
        assert abs(draws.mean() - mean) < 4 * float(mcse[name])
        assert 0.93 < draws.std() / deviation < 1.07


def test_a_seed_is_a_result(observed: np.ndarray) -> None:
    first, again, other = (flat(sample(observed, seed), "mu") for seed in (11, 11, 12))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_draws_do_not_depend_on_threads(observed: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    two = flat(sample(observed), "mu")
    monkeypatch.setattr(posterior_module, "_THREADS", 1)
    np.testing.assert_array_equal(two, flat(sample(observed), "mu"))


def test_a_program_holds_nothing_of_earlier_samples(observed: np.ndarray) -> None:
    """Compiled for one sample and used for one of another length: the same draws as compiled for it alone."""
    sample(observed[:7] + 30)
    swapped = flat(sample(observed), "mu")
    fresh = Sampler(keep=10**6).sample(compile_model(NormalMean().model({"y": observed})), seed=11, name="toy")
    np.testing.assert_array_equal(swapped, flat(fresh, "mu"))


@pytest.mark.slow
def test_a_fresh_process_with_an_empty_cache_gives_the_same_draws(observed: np.ndarray, tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from test_posterior import sample, flat, np\n"
        "y = np.random.default_rng(5).normal(1.5, 1.0, size=40)\n"
        "print(flat(sample(y), 'mu').tobytes().hex())"
    )
    environment = os.environ | {"PYTENSOR_FLAGS": f"base_compiledir={tmp_path}"}
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == flat(sample(observed), "mu").tobytes().hex()
