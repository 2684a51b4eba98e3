"""Every registered model keeps the contract; the checks themselves catch models that do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeRegressor

from forecast.checks import contract
from forecast.checks.contract import CHECKS, BrokenContractError, Trial, check_contract, trial
from forecast.errors import NeedsScenarioError, ShortHistoryError
from forecast.features.feature_set import FEATURES, CalendarEffect, Design, future_weeks
from forecast.model import Model
from forecast.predictive import PredictiveDistribution
from forecast.registry import create, registered
from forecast.units import UNITS

TARGETS = {"effr_iorb": "bp", "sofr_iorb": "bp", "reserve_ratio": "percent"}
AHEAD = 26
# Features that are positive, in their unit: a logarithm, or a share of them, must exist.
LEVELS = {
    "reserves_level": 2500.0,
    "reserves_to_deposits": 15.0,
    "money_less_currency": 15_000.0,
    "on_rrp_take_up": 200.0,
    "tga_level": 400.0,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "direct_regression": {"steps": (1, 2, 6, 13)},
    # The design's ratio never leaves the steep branch: what a drifting kink does there cannot be told from the slope,
    # and the sampler says so instead of answering.
    "satiation_curve": {"kink": "constant"},
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "arx_with_needs": ("arx", {"lags": 2, "features": ("reserve_ratio", "quarter_end_week")}),
    "local_level_with_needs": ("local_level", {"features": ("reserve_ratio", "tax_week")}),
    "ridge_with_features": (
        "direct_regression",
        {"features": ("reserve_ratio", "quarter_end_week"), "steps": (1, 2, 6, 13)},
    ),
    "lasso": ("direct_regression", {"regressor": "lasso", "steps": (1, 6, 13)}),
    "tree": ("direct_regression", {"regressor": DecisionTreeRegressor(max_depth=2), "steps": (1, 13)}),
}


def design_for(model: Model, weeks: int = 260) -> Design:
    """A ragged edge, a late start, a stretch without change, and whatever features the model wants."""
    rng = np.random.default_rng(7)
    index = pd.date_range("2016-01-06", periods=weeks, freq="7D", unit="us")
    extended = pd.DatetimeIndex(index.append(future_weeks(index[-1], AHEAD)))
    ratio = 14 + np.cumsum(rng.normal(0, 0.1, weeks))
    effr = np.round(-6 + 12 * np.exp(-(ratio - 10) / 2) + rng.normal(0, 0.8, weeks))
    effr[120:180] = -8.0
    sofr = effr + 3 + np.round(rng.normal(0, 3, weeks))
    sofr[:80] = np.nan
    columns = {"effr_iorb": effr, "sofr_iorb": sofr, "reserve_ratio": ratio.copy()}
    columns["reserve_ratio"][-2:] = np.nan
    targets = pd.DataFrame(columns, index)[list(model.targets) or list(TARGETS)]
    features = {name: feature_values(name, columns, extended, rng) for name in model.features}
    units = {name: UNITS[TARGETS[name]] for name in targets}
    units |= {name: FEATURES[name].unit for name in model.features if name not in units}
    ahead = frozenset(name for name in model.features if isinstance(FEATURES.get(name), CalendarEffect))
    return Design(targets, pd.DataFrame(features, extended, columns=list(model.features)), units, ahead)


def feature_values(
    name: str, columns: dict[str, np.ndarray], periods: pd.DatetimeIndex, rng: np.random.Generator
) -> np.ndarray:
    item = FEATURES[name]
    if isinstance(item, CalendarEffect):
        return item(periods).to_numpy(dtype=float)
    known = len(periods) - AHEAD
    steps = np.cumsum(rng.normal(size=known))
    values = columns.get(name, LEVELS[name] * np.exp(0.005 * steps) if name in LEVELS else steps)
    return np.concatenate([values, np.full(AHEAD, np.nan)])


@cache
def trial_of(label: str) -> Trial:
    name, options = VARIANTS.get(label, (label, OPTIONS.get(label, {})))
    model = create(name, options)
    return trial(model, design_for(model))


# Estimated by simulation: each fit takes seconds to minutes.
SIMULATED = {
    "satiation_curve",
    "time_varying_regression",
    "time_varying_var",
    "online_regression",
    "online_var",
}


def asked() -> list[Any]:
    """Everything registered, and a few more options of it."""
    labels = (*registered(), *VARIANTS)
    return [pytest.param(label, marks=pytest.mark.slow) if label in SIMULATED else label for label in labels]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("label", asked())
def test_every_registered_model_keeps_the_contract(label: str, check: Callable[[Trial], None]) -> None:
    check(trial_of(label))


def test_models_that_are_not_simulated_say_so() -> None:
    assert set(registered()) >= SIMULATED
    assert not any(create(name).sampled for name in registered() if name not in SIMULATED)


# --------------------------------------------------------------------------- the checks catch what they are for


@dataclass(frozen=True, slots=True)
class Toy:
    """A model that is right, unless told in which way to be wrong."""

    wrong: str = ""
    name: str = "toy"
    targets: tuple[str, ...] = ()
    features: tuple[str, ...] = ("reserve_ratio",)
    sampled: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        return ("tax_week",) if self.wrong == "strange needs" else ("reserve_ratio",)

    def fit(self, design: Design, *, rng: np.random.Generator) -> FittedToy:
        if len(design.targets) < 10 and self.wrong != "short history":
            raise ShortHistoryError("too short")
        if self.wrong == "changes the design":
            design.features.iloc[0, 0] = 0.0
        still = (design.targets.diff().iloc[-80:].abs() < 1e-12).all().any()
        late = design.targets.iloc[-2:].isna().all().all()
        lost = (still and self.wrong == "constant") or (late and self.wrong == "ragged edge")
        noise = float(np.random.default_rng().random()) if self.wrong == "own randomness" else 0.0
        return FittedToy(self.wrong, design, np.nan if lost else noise)


@dataclass(frozen=True, slots=True, eq=False)
class FittedToy:
    wrong: str
    design: Design
    shift: float
    entropy: list[int] = field(default_factory=lambda: [0])

    def __getstate__(self) -> tuple[Any, ...]:
        shift = self.shift + (1.0 if self.wrong == "pickles badly" else 0.0)
        return (self.wrong, self.design, shift, self.entropy)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        for name, value in zip(("wrong", "design", "shift", "entropy"), state, strict=True):
            object.__setattr__(self, name, value)

    def predict(self, periods: Any, *, scenario: Any = None, n_draws: int, rng: np.random.Generator) -> Any:
        wrong = self.wrong
        if scenario is None and wrong == "draws nothing without a scenario":
            raise KeyError("reserve_ratio")
        if scenario is None:
            raise NeedsScenarioError("reserve_ratio")
        path = scenario.path("reserve_ratio", periods, n_draws)
        rng = np.random.default_rng(1) if wrong == "ignores the generator" else rng
        n_draws = 10 if wrong == "n_draws" else n_draws
        last = self.design.targets.ffill().iloc[-1].to_numpy()
        noise = rng.normal(size=(n_draws, len(periods), len(last)))
        values = last + self.shift + noise
        if wrong != "ignores the scenario":
            values = values + path[:n_draws, :, None]
        if wrong == "unit":
            values = values * 1000 + 1e6
        units = {name: self.design.units[name] for name in self.design.targets}
        if wrong == "unit name":
            units = dict.fromkeys(units, UNITS["usd_bn"])
        periods = periods + pd.Timedelta(days=7) if wrong == "periods" else periods
        targets = tuple(self.design.targets)
        targets = targets[::-1] if wrong == "order of targets" else targets
        return PredictiveDistribution(values, periods, targets, units)


def test_a_model_that_is_right_passes() -> None:
    check_contract(Toy(), design_for(Toy()))


@pytest.mark.parametrize(
    ("wrong", "check"),
    [
        ("strange needs", contract.check_properties),
        ("order of targets", contract.check_shapes),
        ("periods", contract.check_shapes),
        ("n_draws", contract.check_n_draws),
        ("unit", contract.check_units),
        ("unit name", contract.check_units),
        ("ignores the generator", contract.check_seeds),
        ("own randomness", contract.check_seeds),
        ("pickles badly", contract.check_fit_pickles),
        ("changes the design", contract.check_design_unchanged),
        ("ignores the scenario", contract.check_scenario_honoured),
        ("short history", contract.check_short_history),
    ],
)
def test_a_broken_model_is_caught(wrong: str, check: Callable[[Trial], None]) -> None:
    good, bad = Toy(), Toy(wrong)
    design = design_for(good)
    fitted = bad.fit(replace(design, features=design.features.copy()), rng=np.random.default_rng(0))
    with pytest.raises(BrokenContractError, match="toy: "):
        check(Trial(bad, design, fitted, contract.flat_scenario(good, design)))


@pytest.mark.parametrize(
    ("wrong", "check"), [("constant", contract.check_constant_series), ("ragged edge", contract.check_ragged_edge)]
)
def test_draws_that_are_not_finite_never_leave_a_model(wrong: str, check: Callable[[Trial], None]) -> None:
    with pytest.raises(Exception, match="not finite"):
        check(trial(Toy(wrong), design_for(Toy())))


def test_an_error_of_another_type_is_no_refusal() -> None:
    with pytest.raises(KeyError):
        contract.check_missing_scenario(trial(Toy("draws nothing without a scenario"), design_for(Toy())))


def test_a_specification_that_can_be_changed_is_caught() -> None:
    @dataclass
    class Loose:
        name: str = "toy"

    loose: Any = Loose()
    base = trial(Toy(), design_for(Toy()))
    with pytest.raises(BrokenContractError, match="frozen"):
        contract.check_frozen(replace(base, model=loose))


def test_a_flat_scenario_covers_the_ragged_edge() -> None:
    model = Toy()
    design = design_for(model)
    scenario = contract.flat_scenario(model, design, weeks=3, shift=2.0)
    assert scenario is not None
    assert list(scenario.periods) == [*design.targets.index[-2:], *design.future(3)]
    ratio = design.features["reserve_ratio"]
    expected = ratio.dropna().iloc[-1] + 2 * ratio.std()
    np.testing.assert_allclose(scenario.values, np.full((1, 5, 1), expected))
