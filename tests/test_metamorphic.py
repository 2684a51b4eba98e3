"""What must not matter does not: units, the date of day one, the order of columns, the zero of a scale.

Every quick model is fitted twice, to a history and to the same history told in another way, and draws with
the same generator. The draws must agree to 1e-10 of their size, after the change is undone. Where a model is not
equivariant by design, or not to that precision, it is named with its reason.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import forecast.features  # noqa: F401  registers the features
from forecast.backtest.cells import cell_rng
from forecast.checks.forecasts import draws_of
from forecast.data.catalog import catalog
from forecast.data.synthetic import Economy, simulate
from forecast.data.vintages import Vintages
from forecast.features.feature_set import Design, future_weeks
from forecast.model import Model
from forecast.registry import create, registered
from forecast.units import UNITS, convert

AHEAD = 6
FEATURES = ("reserve_ratio_known", "tga_change", "quarter_end_week")
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "arx_with_effects": ("arx", {"features": ("quarter_end_week", "tax_week")}),
    "local_level_plain": ("local_level", {"features": ()}),
    "ridge_with_features": ("direct_regression", {"features": FEATURES, "steps": (1, 3, 6)}),
    "ols_with_features": ("direct_regression", {"features": FEATURES, "steps": (1, 6), "regressor": "ols"}),
}
OPTIONS: dict[str, dict[str, Any]] = {"direct_regression": {"steps": (1, 3, 6)}}

WITH_FEATURES = ("arx_with_effects", "ridge_with_features", "ols_with_features", "local_level")
CALENDAR_OF_ITS_OWN = {
    "climatology": "draws from past weeks of the same kind, and a week is a quarter's end on its date alone",
}
# Its variance ratio is where a likelihood search stops; the likelihood is flat at its top to the square root of the
# rounding error, and so no closer than that does the search come back to the same place.
PRECISION = {"local_level": 1e-6, "local_level_plain": 1e-6}


def model(label: str) -> Model:
    name, options = VARIANTS.get(label, (label, OPTIONS.get(label, {})))
    return create(name, options)


def _takes_any_target(asked: Model) -> bool:
    """A demand curve is of one spread in bp and one ratio in percent; it refuses what these tests try."""
    return not asked.sampled and not asked.targets


QUICK = tuple(label for label in (*registered(), *VARIANTS) if label in VARIANTS or _takes_any_target(create(label)))


def history(seed: int, names: tuple[str, ...], weeks: int = 180) -> Design:
    """Two wandering targets, the second late by a week, and features: effects are 0 or 1, others wander."""
    rng = np.random.default_rng(seed)
    index = pd.date_range("2016-01-06", periods=weeks, freq="7D", unit="us")
    extended = pd.DatetimeIndex(index.append(future_weeks(index[-1], AHEAD)))
    targets = pd.DataFrame({"effr_iorb": rng.normal(0, 1, weeks), "yield_2y": rng.normal(0, 0.1, weeks)}, index)
    targets = targets.cumsum() + np.array([-5.0, 3.0])
    targets.iloc[-1, 1] = np.nan
    features = {name: _feature(name, len(extended), rng) for name in names}
    known = frozenset(name for name in names if name.endswith("_week"))
    units = {"effr_iorb": UNITS["bp"], "yield_2y": UNITS["percent"]} | dict.fromkeys(names, UNITS["percent"])
    return Design(targets, pd.DataFrame(features, extended, columns=list(names)), units, known)


def _feature(name: str, weeks: int, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
    if name.endswith("_week"):
        return (rng.random(weeks) < 0.1).astype(float)
    walk = rng.normal(size=weeks).cumsum()
    walk[-AHEAD:] = np.nan
    return walk


def draws(asked: Model, design: Design, *, options: dict[str, Any] | None = None) -> np.ndarray[Any, Any]:
    """(D, H, K) draws with one generator for the fit and one for the forecast."""
    fitted = (replace(asked, **options) if options else asked).fit(design, rng=cell_rng(1, (1,)))  # type: ignore[type-var]
    return fitted.predict(design.future(AHEAD), n_draws=25, rng=cell_rng(1, (2,))).values


def agree(label: str, found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    """Each target to within a share of its own largest draw."""
    size = np.abs(expected).max(axis=(0, 1))
    away = np.abs(found - expected).max(axis=(0, 1)) / size
    assert (away <= PRECISION.get(label, 1e-10)).all(), f"{label}: {away.max():.1e} of the draws' size away"


briefly = settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
seeds = st.integers(0, 10_000)
factors = st.sampled_from([1e-6, 1e-3, 0.1, 100.0, 1e3, 1e6, 3.7])


# ------------------------------------------------------------------------------ units


@pytest.mark.parametrize("label", QUICK)
def test_targets_in_another_unit_give_the_forecast_in_that_unit(label: str) -> None:
    asked = model(label)

    @briefly
    @given(seed=seeds, factor=factors)
    def holds(seed: int, factor: float) -> None:
        design = history(seed, asked.features)
        agree(label, draws(asked, replace(design, targets=design.targets * factor)), draws(asked, design) * factor)

    holds()


@pytest.mark.parametrize("label", WITH_FEATURES)
def test_features_in_another_unit_change_nothing(label: str) -> None:
    asked = model(label)

    @briefly
    @given(seed=seeds, factor=factors)
    def holds(seed: int, factor: float) -> None:
        design = history(seed, asked.features)
        agree(label, draws(asked, replace(design, features=design.features * factor)), draws(asked, design))

    holds()


@cache
def economy() -> Vintages:
    return simulate(Economy(seed=3, years=9.0))[0]


def in_millions(vintages: Vintages, names: tuple[str, ...]) -> Vintages:
    """The same numbers, published in millions and converted on import."""
    rows = vintages.observations
    published = rows["series"].isin(names).to_numpy()
    values = rows["value"].to_numpy(copy=True)
    millions = convert(values[published], UNITS["usd_bn"], UNITS["usd_mn"])
    assert np.median(millions / values[published]) == pytest.approx(1000)
    values[published] = convert(millions, UNITS["usd_mn"], UNITS["usd_bn"])
    return Vintages(rows.assign(value=values), catalog())


@pytest.mark.parametrize("label", QUICK)
def test_it_does_not_matter_whether_a_file_is_in_millions_or_billions(label: str) -> None:
    asked = model(label)
    read = ("reserves_average", "bank_assets", "tga_average")
    run = draws_of(lambda _: asked, ("reserve_ratio",), weeks=AHEAD, n_draws=25)
    origin = pd.Timestamp("2014-06-19 17:00", tz="America/New_York")
    tables = (run(in_millions(economy().only(read), read), origin), run(economy().only(read), origin))
    agree(label, *(table.to_numpy()[None] for table in tables))


# ------------------------------------------------------------------------------- dates


@pytest.mark.parametrize("label", [label for label in QUICK if label not in CALENDAR_OF_ITS_OWN])
def test_the_same_history_weeks_later_gives_the_same_draws(label: str) -> None:
    asked = model(label)

    @briefly
    @given(seed=seeds, weeks=st.integers(-600, 600))
    def holds(seed: int, weeks: int) -> None:
        design = history(seed, asked.features)
        shift = pd.Timedelta(weeks=weeks)
        later = replace(
            design,
            targets=design.targets.set_axis(design.targets.index + shift),
            features=design.features.set_axis(design.features.index + shift),
        )
        np.testing.assert_array_equal(draws(asked, later), draws(asked, design))

    holds()


@pytest.mark.parametrize("label", CALENDAR_OF_ITS_OWN)
def test_a_model_with_a_calendar_of_its_own_depends_on_the_date(label: str) -> None:
    """What is excluded above is excluded for a reason that can be seen."""
    design = history(1, ())
    later = replace(design, targets=design.targets.set_axis(design.targets.index + pd.Timedelta(weeks=3)))
    later = replace(later, features=later.features.set_axis(later.features.index + pd.Timedelta(weeks=3)))
    assert not np.array_equal(draws(model(label), later), draws(model(label), design))


# ------------------------------------------------------------------------------- order


@pytest.mark.parametrize("label", WITH_FEATURES)
def test_the_order_of_columns_in_a_design_changes_nothing(label: str) -> None:
    asked = model(label)

    @briefly
    @given(seed=seeds, order=st.permutations(range(len(asked.features))))
    def holds(seed: int, order: list[int]) -> None:
        design = history(seed, asked.features)
        other = replace(design, features=design.features.iloc[:, order])
        np.testing.assert_array_equal(draws(asked, other), draws(asked, design))

    holds()


@pytest.mark.parametrize("label", WITH_FEATURES)
def test_the_order_in_which_features_are_named_changes_nothing(label: str) -> None:
    asked = model(label)

    @briefly
    @given(seed=seeds, names=st.permutations(asked.features))
    def holds(seed: int, names: list[str]) -> None:
        design = history(seed, asked.features)
        agree(label, draws(asked, design, options={"features": tuple(names)}), draws(asked, design))

    holds()


# -------------------------------------------------------------------------------- zero


@pytest.mark.parametrize("label", QUICK)
def test_a_constant_added_to_a_target_is_added_to_its_forecast_and_to_no_other(label: str) -> None:
    asked = model(label)

    @briefly
    @given(seed=seeds, constant=st.floats(-50, 50), k=st.integers(0, 1))
    def holds(seed: int, constant: float, k: int) -> None:
        design = history(seed, asked.features)
        added = np.where(np.arange(2) == k, constant, 0.0)
        agree(label, draws(asked, replace(design, targets=design.targets + added)), draws(asked, design) + added)

    holds()
