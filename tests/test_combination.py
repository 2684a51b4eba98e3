"""A linear pool: equal shares of whole paths, and no member that is left out in silence."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.checks.contract import check_contract
from forecast.errors import (
    DiagnosticsError,
    ModelError,
    NeedsScenarioError,
    ShortHistoryError,
    UnknownNameError,
    UsageError,
)
from forecast.features.feature_set import FEATURES, Design, future_weeks
from forecast.model import is_updatable
from forecast.predictive import PredictiveDistribution
from forecast.scenario import Scenario
from forecast.units import UNITS
from models import combination
from models.combination import LinearPool

AHEAD = 30
ARX = {"model": "arx", "lags": 2, "features": ("reserve_ratio", "quarter_end_week")}


def design(features: tuple[str, ...] = (), weeks: int = 260) -> Design:
    rng = np.random.default_rng(7)
    index = pd.date_range("2016-01-06", periods=weeks, freq="7D", unit="us")
    extended = pd.DatetimeIndex(index.append(future_weeks(index[-1], AHEAD)))
    ratio = 14 + np.cumsum(rng.normal(0, 0.1, weeks))
    effr = np.round(-6 + 12 * np.exp(-(ratio - 10) / 2) + rng.normal(0, 0.8, weeks))
    targets = pd.DataFrame({"effr_iorb": effr, "sofr_iorb": effr + 3 + rng.normal(0, 2, weeks)}, index)
    known = {"reserve_ratio": np.r_[ratio[:-2], np.full(AHEAD + 2, np.nan)]}
    known |= {name: FEATURES[name](extended).to_numpy(dtype=float) for name in features if name not in known}
    units = {**dict.fromkeys(targets, UNITS["bp"]), **{name: FEATURES[name].unit for name in features}}
    return Design(
        targets,
        pd.DataFrame({name: known[name] for name in features}, extended, columns=list(features)),
        units,
        frozenset(),
    )


@dataclass(frozen=True, slots=True)
class Constant:
    """Says a number, its draws' places in the scenario, or an error."""

    value: float
    targets: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    sampled: bool = False
    fails: type[Exception] | None = None
    at: str = "fit"
    name: str = "constant"

    def fit(self, design: Design, *, rng: np.random.Generator) -> Constant:
        assert tuple(design.features) == self.features
        if self.fails and self.at == "fit":
            raise self.fails("no luck")
        return self

    def predict(self, periods: Any, *, scenario: Any = None, n_draws: int, rng: np.random.Generator) -> Any:
        if self.fails and self.at == "predict":
            raise self.fails("no luck")
        path = np.zeros((n_draws, len(periods)))
        if scenario is not None:
            path = scenario.path("reserve_ratio", periods, n_draws)
        values = np.repeat((self.value + path)[:, :, None], 2, axis=2)
        return PredictiveDistribution(
            values, periods, ("effr_iorb", "sofr_iorb"), dict.fromkeys(("effr_iorb", "sofr_iorb"), UNITS["bp"])
        )


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        combination, "create", lambda name, options=None, where="": Constant(**(options or {"value": float(name)}))
    )


def draw(pool: LinearPool, n_draws: int, scenario: Scenario | None = None, seed: int = 0) -> np.ndarray:
    whole = design(pool.features)
    fitted = pool.fit(whole, rng=np.random.default_rng(1))
    return fitted.predict(whole.future(3), scenario=scenario, n_draws=n_draws, rng=np.random.default_rng(seed)).values


# --------------------------------------------------------------------------- shares


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize(("n_draws", "shares"), [(300, {100}), (301, {100, 101}), (302, {100, 101}), (3, {1})])
def test_every_member_has_an_equal_share_of_whole_paths(n_draws: int, shares: set[int]) -> None:
    values = draw(LinearPool(("1", "2", "3")), n_draws)
    assert values.shape == (n_draws, 3, 2)
    assert (values == values[:, :1, :1]).all(), "a path is one member's throughout"
    found, counts = np.unique(values[:, 0, 0], return_counts=True)
    assert list(found) == [1, 2, 3]
    assert set(counts.tolist()) == shares


@pytest.mark.usefixtures("toys")
def test_members_alternate_at_random_and_no_member_owns_a_place() -> None:
    values = np.array([draw(LinearPool(("1", "2")), 40, seed=seed)[:, 0, 0] for seed in range(200)])
    np.testing.assert_allclose(values.mean(axis=0), 1.5, atol=0.16)
    assert len({tuple(row) for row in values}) == 200


@pytest.mark.usefixtures("toys")
def test_fewer_draws_than_members_are_drawn_among_them() -> None:
    said = {float(draw(LinearPool(("1", "2", "3")), 1, seed=seed)[0, 0, 0]) for seed in range(40)}
    assert said == {1.0, 2.0, 3.0}


@pytest.mark.usefixtures("toys")
def test_draw_i_uses_path_i_of_the_scenario_whoever_gives_it() -> None:
    paths = 1000.0 * np.arange(7)[:, None, None] + np.zeros((7, 3, 1))
    scenario = Scenario("paths", paths, design().future(3), ("reserve_ratio",))
    values = draw(LinearPool(("1", "2")), 24, scenario)[:, 0, 0]
    np.testing.assert_array_equal(values // 1000, np.arange(24) % 7)
    assert set(values % 1000) == {1.0, 2.0}


def test_the_pool_of_a_model_with_itself_has_its_distribution() -> None:
    pool = LinearPool(({"model": "ar", "lags": 2}, {"model": "ar", "lags": 2}))
    whole, (one, _) = design(), pool.models
    single = one.fit(whole, rng=np.random.default_rng(0))
    alone = single.predict(whole.future(6), n_draws=6000, rng=np.random.default_rng(1)).values
    fitted = pool.fit(whole, rng=np.random.default_rng(0))
    both = fitted.predict(whole.future(6), n_draws=6000, rng=np.random.default_rng(2)).values
    levels = [0.05, 0.5, 0.95]
    np.testing.assert_allclose(np.quantile(both, levels, axis=0), np.quantile(alone, levels, axis=0), atol=0.35)


def test_a_pool_is_wider_than_members_that_disagree() -> None:
    pool = LinearPool(({"model": "climatology"}, {"model": "random_walk"}))
    whole = design()
    fitted = pool.fit(whole, rng=np.random.default_rng(0))
    drawn = fitted.predict(whole.future(4), n_draws=4000, rng=np.random.default_rng(1)).values[:, 0, 0]
    members = [
        m.predict(whole.future(4), n_draws=4000, rng=np.random.default_rng(1)).values[:, 0, 0] for m in fitted.members
    ]
    assert drawn.mean() == pytest.approx(np.mean([m.mean() for m in members]), abs=0.15)
    between = np.var([m.mean() for m in members])
    assert drawn.var() == pytest.approx(np.mean([m.var() for m in members]) + between, rel=0.1)


# --------------------------------------------------------------------------- what it asks for


def test_it_asks_for_what_its_members_ask_for() -> None:
    pool = LinearPool(("random_walk", ARX, {"model": "local_level", "features": ("tax_week", "quarter_end_week")}))
    assert pool.targets == ()
    assert pool.features == ("reserve_ratio", "quarter_end_week", "tax_week")
    assert pool.needs == ("reserve_ratio",)
    assert not pool.sampled
    assert [model.name for model in pool.models] == ["random_walk", "arx", "local_level"]


@pytest.mark.usefixtures("toys")
def test_its_targets_are_those_that_every_member_knows_and_it_is_sampled_if_one_is() -> None:
    members = (
        {"model": "a", "value": 1.0, "targets": ("effr_iorb", "sofr_iorb")},
        {"model": "b", "value": 2.0, "targets": ("sofr_iorb",), "sampled": True},
        "3",
    )
    pool = LinearPool(members)
    assert pool.targets == ("sofr_iorb",)
    assert pool.sampled


@pytest.mark.parametrize("members", [("random_walk", "ar"), ("random_walk", ARX), (ARX, {"model": "ar", "lags": 1})])
def test_it_keeps_the_contract(members: tuple[Any, ...]) -> None:
    pool = LinearPool(members)
    check_contract(pool, design(pool.features))


def test_options_come_from_lists_and_survive_pickling() -> None:
    from forecast.registry import create

    direct = LinearPool(("random_walk", {"model": "ar", "lags": 3}))
    again = pickle.loads(pickle.dumps(direct))  # noqa: S301  our own bytes
    assert again == direct
    assert again.models == direct.models
    assert create("ar", {"lags": 3}) == direct.models[1]


# --------------------------------------------------------------------------- taking in new rows

FADING = ({"model": "drifting_slope"}, {"model": "drifting_slope", "forgetting": 0.99, "lags": 2})


def until(whole: Design, weeks: int) -> Design:
    return replace(whole, targets=whole.targets.iloc[:weeks], features=whole.features.iloc[: weeks + AHEAD])


def test_a_pool_can_be_updated_if_all_its_members_can() -> None:
    assert is_updatable(LinearPool(FADING))
    assert is_updatable(LinearPool((FADING[0], {"model": "linear_pool", "members": FADING})))
    assert not is_updatable(LinearPool((*FADING, "random_walk")))


def test_an_updated_pool_is_the_one_fitted_anew_bit_for_bit() -> None:
    pool = LinearPool(FADING)
    whole = design(pool.features)
    updated = pool.fit(until(whole, 150), rng=np.random.default_rng(1))
    for weeks in (151, 152, 170, 260):
        now = until(whole, weeks)
        before, updated = updated, updated.update(now)
        assert before.members[0] is not updated.members[0], "the earlier fit is not changed"
        anew = pool.fit(now, rng=np.random.default_rng(1))
        drawn = [fit.predict(now.future(5), n_draws=40, rng=np.random.default_rng(2)).values for fit in (updated, anew)]
        np.testing.assert_array_equal(drawn[0], drawn[1])


def test_a_revised_row_reaches_the_members() -> None:
    pool = LinearPool(FADING)
    whole = design(pool.features)
    revised = replace(
        whole,
        targets=whole.targets.assign(effr_iorb=whole.targets["effr_iorb"] + (whole.targets.index == "2017-03-08")),
    )
    drawn = [
        pool.fit(first, rng=np.random.default_rng(1))
        .update(revised)
        .predict(revised.future(5), n_draws=40, rng=np.random.default_rng(2))
        .values
        for first in (until(whole, 200), revised)
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])


def test_a_member_that_cannot_be_updated_or_fails_is_named() -> None:
    mixed = LinearPool((*FADING, "random_walk"))
    whole = design(mixed.features)
    with pytest.raises(ModelError, match=r"member 3 \(random_walk\) cannot be updated"):
        mixed.fit(whole, rng=np.random.default_rng(1)).update(whole)
    pool = LinearPool(FADING)
    fitted = pool.fit(whole, rng=np.random.default_rng(1))
    with pytest.raises(ShortHistoryError, match=r"linear_pool: member 1 \(drifting_slope\)"):
        fitted.update(until(whole, 20))


# --------------------------------------------------------------------------- failures


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("error", [ShortHistoryError, DiagnosticsError, NeedsScenarioError, ModelError])
@pytest.mark.parametrize("at", ["fit", "predict"])
def test_a_member_that_fails_fails_the_pool_by_name_and_type(error: type[Exception], at: str) -> None:
    pool = LinearPool(("1", {"model": "bad", "value": 2.0, "fails": error, "at": at}))
    with pytest.raises(error, match=r"linear_pool: member 2 \(constant\): no luck") as caught:
        draw(pool, 10)
    assert type(caught.value) is error


@pytest.mark.usefixtures("toys")
def test_a_fault_that_is_no_refusal_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        draw(LinearPool(("1", {"model": "bad", "value": 2.0, "fails": ZeroDivisionError})), 10)


def test_members_that_do_not_exist_or_say_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="at least two"):
        LinearPool(("ar",))
    with pytest.raises(ValueError, match="no key 'model'"):
        LinearPool(("ar", {"lags": 2}))
    with pytest.raises(UnknownNameError, match="linear_pool"):
        LinearPool(("ar", "no_such_model"))
    with pytest.raises(UsageError, match=r"linear_pool.*no option 'lag'"):
        LinearPool(("ar", {"model": "ar", "lag": 2}))
