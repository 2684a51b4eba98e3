"""Several models, one statement: shared states, dissent, failures kept apart, and what would change the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.answers.ampleness import TOLERANCES, Ampleness
from forecast.answers.assessment import Answer, Assessment, Silence, assess, reasons, shared
from forecast.answers.verdict import chances, changes, limits, listed, model_notes, sentence, spoken
from forecast.data.synthetic import Economy, simulate
from forecast.data.vintages import Panel, Vintages
from forecast.errors import DataError, DiagnosticsError, ModelError, ShortHistoryError

WEEKS = pd.date_range("2020-01-01", periods=30, freq="7D")
X, ASSETS = 12.0, 20_000.0


def told(slope: float, *, width: float = 0.01, away: Mapping[float, float] | None = None, last: int = 30) -> Ampleness:
    """Draws around a slope; thresholds ``away`` percentage points from the ratio, none if not given."""
    z = np.linspace(-2, 2, 201)
    thresholds = {c: X + distance + 0.1 * z for c, distance in (away or {}).items()}
    slopes = np.repeat((slope + width * z)[:, None], last, axis=1)
    slopes[:, 0] -= 1.0  # it has been steeper
    ratio = np.r_[X - 4, X + 4, np.full(last - 2, X)]
    return Ampleness("effr_iorb", "posterior", WEEKS[:last], ratio, slopes, thresholds, {}, sign_free=True)


def together(**models: Ampleness) -> Assessment:
    history = pd.DataFrame({"spread": 0.0, "ratio": X, "bank_assets": ASSETS}, index=WEEKS)
    answers = tuple(Answer(name, answer, 0.1) for name, answer in models.items())
    return Assessment(
        "effr_iorb", "archive", pd.Timestamp("2020-08-06 17:00", tz="America/New_York"), history, answers, ()
    )


ABUNDANT, AMPLE, SCARCE, UNSURE = told(-0.1), told(-0.6), told(-2.0), told(-0.6, width=3.0)


# --------------------------------------------------------------------------- the common state


def test_models_that_agree_make_the_state() -> None:
    assessment = together(a=AMPLE, b=AMPLE, c=AMPLE)
    assert assessment.state() == "ample"
    assert sentence(assessment) == "Reserves are ample: all 3 models that count say so."
    assert sentence(together(a=AMPLE, b=AMPLE)) == "Reserves are ample: both models that count say so."


def test_one_model_alone_is_said_to_be_alone() -> None:
    assert sentence(together(satiation_curve=SCARCE)) == (
        "Reserves are scarce, the satiation curve says; no other model answered."
    )


def test_models_that_disagree_cannot_tell_and_each_is_named() -> None:
    assessment = together(log_curve=AMPLE, drifting_slope=UNSURE, kinked_curve=AMPLE)
    assert assessment.state() == "cannot tell"
    assert sentence(assessment) == (
        "Cannot tell: the log curve and the kinked curve say ample; the drifting slope cannot tell."
    )


def test_two_states_are_never_averaged_to_the_one_between() -> None:
    assessment = together(a=ABUNDANT, b=SCARCE)
    assert assessment.state() == "cannot tell"
    assert sentence(assessment) == "Cannot tell: the a says abundant; the b says scarce."


def test_models_that_all_cannot_tell_share_that() -> None:
    assert sentence(together(a=UNSURE, b=UNSURE)) == "Cannot tell: the a and the b cannot tell."


def test_nothing_is_shared_by_nobody() -> None:
    assert shared({}) == "cannot tell"


def test_an_answer_about_the_past_is_shown_but_not_counted() -> None:
    old = told(-2.0, last=20)
    assessment = together(now=AMPLE, old=old)
    assert assessment.states() == {"now": "ample"}
    assert assessment.state() == "ample"
    assert [answer.model for answer in assessment.answers] == ["now", "old"]


def test_without_any_current_answer_it_cannot_tell() -> None:
    assert (
        sentence(together(old=told(-2.0, last=20))) == "Cannot tell: no answer counts; the notes on the models say why."
    )
    assert chances(together(old=told(-2.0, last=20))) == ""


def test_a_slope_that_never_changes_is_shown_but_not_counted() -> None:
    constant = replace(SCARCE, slope=np.repeat(SCARCE.slope[:, -1:], 30, axis=1))
    assessment = together(curve=AMPLE, line=constant)
    assert sentence(assessment) == "Reserves are ample, the curve says; no other answer counts."
    assert list(model_notes(assessment)) == [
        ("line", "not counted: its slope is the same in every week: an average of the sample, not of now")
    ]
    late = replace(constant, slope=np.where(np.arange(30) < 5, np.nan, constant.slope))
    assert together(line=late).counted() == ()
    assert sentence(together(line=late)) == "Cannot tell: no answer counts; the notes on the models say why."
    assert together(drifting=replace(late, slope=late.slope + 0.001 * np.arange(30))).states() == {"drifting": "scarce"}


def test_four_weeks_of_delay_are_current() -> None:
    assert together(a=told(-2.0, last=26)).states() == {"a": "scarce"}
    assert together(a=told(-2.0, last=25)).states() == {}


# --------------------------------------------------------------------------- words


def test_chances_are_told_from_the_lowest_to_the_highest() -> None:
    assert chances(together(a=ABUNDANT, b=SCARCE)) == (
        "Chances from model to model: abundant 0 to 100 percent, ample 0 percent and scarce 0 to 100 percent."
    )
    assert chances(together(a=AMPLE)) == "Chances: abundant 0 percent, ample 100 percent and scarce 0 percent."


def test_the_move_to_the_next_state_is_the_median_distance() -> None:
    # A percentage point of 20,000 is 200; the 16th percentile of z lies 1.36 tenths of a point, or 27, below.
    assessment = together(satiation_curve=told(-0.6, away={-0.25: 1.0, -0.5: 0.5, -1.0: -2.0}))
    assert list(changes(assessment)) == [
        (
            "The satiation curve: abundant after a rise of reserves by USD 200 bn (68 percent interval: 173 to 227), where the "
            "slope is -0.25; scarce after a fall of reserves by USD 400 bn (68 percent interval: 373 to 427), where the slope is "
            "-1."
        )
    ]


def test_below_the_last_threshold_a_rise_ends_scarcity() -> None:
    (said,) = changes(together(a=told(-2.0, away={-0.25: 3.0, -0.5: 2.0, -1.0: 1.0})))
    assert "no longer scarce after a rise of reserves by USD 200 bn" in said


def test_above_the_first_threshold_a_fall_ends_abundance() -> None:
    (said,) = changes(together(a=told(-0.1, away={-0.25: -1.0, -0.5: -2.0, -1.0: -3.0})))
    assert "no longer abundant after a fall of reserves by USD 200 bn" in said


@pytest.mark.parametrize(("value", "word"), [(0.0, "flatter than -1"), (np.inf, "steeper than -1")])
def test_a_threshold_that_is_seldom_reached_is_not_given_in_dollars(value: float, word: str) -> None:
    answer = told(-0.6, away={-0.25: 1.0, -0.5: 0.5, -1.0: -2.0})
    draws = np.where(np.arange(201) < 140, value, X - 2.0)
    (said,) = changes(together(a=replace(answer, thresholds={**answer.thresholds, -1.0: draws})))
    assert f"the slope is {word} at every level of reserves (70 percent of its draws)" in said


def test_an_interval_across_zero_names_both_ways() -> None:
    # Its 68 percent are 1.36 of 0.1 points of 200 on both sides of a fall by 20.
    (said,) = changes(together(a=told(-0.6, away={-0.25: 1.0, -0.5: 0.5, -1.0: -0.1})))
    assert (
        "scarce after a fall of reserves by USD 20 bn (68 percent interval: from a rise by 7 to a fall by 47)" in said
    )


def test_a_threshold_beyond_all_ratios_seen_is_not_given_in_dollars() -> None:
    answer = told(-0.6, away={-0.25: 4.1, -0.5: 3.9, -1.0: -3.9})
    assert [answer.has_seen(c) for c in TOLERANCES] == [False, True, True]
    (said,) = changes(together(a=answer))
    assert said.startswith("The a: the slope is -0.25 only at a ratio that has never been seen")
    assert "fall of reserves by USD 780 bn" in said


def test_reserves_on_the_flat_top_of_a_curve_are_not_called_scarce_or_near_abundance() -> None:
    (said,) = changes(together(curve_family=told(-0.1, away={-0.25: 3.0, -0.5: 2.0, -1.0: 1.0})))
    assert said == (
        "The curve family: reserves lie below the steep part of the curve, on its flat top: scarce, however flat it is there."
    )
    (said,) = changes(together(a=told(-0.6, away={-0.25: 3.0, -0.5: 2.0, -1.0: 1.0})))
    assert said.startswith("The a: abundant after a rise of reserves by USD 600 bn")
    assert said.endswith("scarce, however flat it is there.")


def test_a_slope_without_a_curve_says_so() -> None:
    assert list(changes(together(drifting_slope=AMPLE))) == [
        "The drifting slope has a slope now and no curve to follow to other levels of reserves."
    ]


def test_one_dissenter_among_three_is_named() -> None:
    said = next(changes(together(a=AMPLE, b=SCARCE, c=AMPLE)))
    assert said == "The b stands alone: without it all others would say ample."
    assert not any("alone" in text for text in changes(together(a=AMPLE, b=SCARCE)))
    assert not any("alone" in text for text in changes(together(a=AMPLE, b=SCARCE, c=ABUNDANT)))


def test_limits_name_the_last_week_and_its_age() -> None:
    said = " ".join(limits(together(a=AMPLE)))
    assert "week to 2020-07-22, 15 days before the as-of date" in said
    assert "15 days before the as-of date: bank assets (H.8) come out on the Friday of the following week" in said
    assert "confidential daily data" in said


def test_limits_claim_no_delay_where_the_data_end_and_no_actual_data_where_they_are_simulated() -> None:
    asked = together(a=AMPLE)
    late = " ".join(limits(replace(asked, as_of=asked.as_of + pd.Timedelta(days=30))))
    assert "45 days before the as-of date: the data end there" in late
    simulated = " ".join(limits(replace(asked, data="synthetic")))
    assert "says nothing about actual reserves" in simulated
    assert "public weekly data" not in simulated


def test_names_and_lists_read_like_text() -> None:
    assert spoken("satiation_curve") == "the satiation curve"
    assert spoken("time_varying_var") == "the time-varying VAR"
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"


# --------------------------------------------------------------------------- asking


@dataclass(frozen=True, slots=True)
class Toy:
    """Answers with a slope that its generator draws, or fails as told."""

    name: str = "toy"
    error: Exception | None = None
    targets: tuple[str, ...] = ("effr_iorb",)
    features: tuple[str, ...] = ("reserve_ratio", "quarter_end_week")
    needs: tuple[str, ...] = ()
    sampled: bool = False
    mute: bool = False

    def fit(self, design: Any, *, rng: np.random.Generator) -> Any:
        if self.error:
            raise self.error
        return object() if self.mute else ToyFit(design, rng.normal(size=(50, 1)))


@dataclass(frozen=True, slots=True)
class ToyFit:
    design: Any
    z: Any

    def ampleness(self) -> Ampleness:
        x = self.design.features["reserve_ratio"].dropna()
        slope = self.z + 0.01 * np.arange(len(x))
        return Ampleness("effr_iorb", "filter", x.index, x.to_numpy(), slope, {}, {}, sign_free=True)


@pytest.fixture(scope="module")
def vintages() -> Vintages:
    return simulate(Economy(seed=1, years=6.0))[0]


@pytest.fixture(scope="module")
def panel(vintages: Vintages) -> Panel:
    return vintages.as_of("2011-11-17 17:00")


def asked(panel: Panel, start: str = "2009-01-01", **models: Any) -> Assessment:
    return assess(
        models,
        panel,
        "effr_iorb",
        start=pd.Timestamp(start),
        generator=lambda name, _: np.random.default_rng(len(name)),
        data="synthetic",
    )


def test_models_see_weeks_from_the_start_to_the_last_that_says_something(panel: Panel) -> None:
    seen: list[Any] = []

    class Looking:
        targets, features, needs, sampled, name = ("effr_iorb",), ("reserve_ratio",), (), False, "looking"

        def fit(self, design: Any, *, rng: np.random.Generator) -> Any:
            seen.append(design)
            return ToyFit(design, rng.normal(size=(50, 1)))

    assessment = asked(panel, start="2010-01-01", a=Looking())
    (design,) = seen
    assert design.targets.index[0] == design.features.index[0] == pd.Timestamp("2010-01-06")
    assert design.targets.index[-1] == design.features.index[-1] == pd.Timestamp("2011-11-16")
    # H.8 of the week to 2 November comes on Friday the 11th, of the next one on the 18th.
    assert assessment.last_week == pd.Timestamp("2011-11-02")
    assert assessment.ratio == design.features["reserve_ratio"].loc["2011-11-02"]
    assert assessment.bank_assets == panel.series("bank_assets").loc["2011-11-02"]


def test_the_sample_begins_where_spread_and_ratio_are_both_known(panel: Panel) -> None:
    assessment = asked(panel, a=Toy())
    history = assessment.history.copy()
    history.iloc[:10, history.columns.get_loc("spread")] = np.nan
    assert assessment.first_week == history.index[0]
    assert replace(assessment, history=history).first_week == history.index[10]


def test_weeks_after_the_data_end_are_not_shown(vintages: Vintages) -> None:
    late = asked(vintages.as_of("2014-06-01"), a=Toy())
    assert late.history.index[-1] <= pd.Timestamp("2011-12-31")
    assert late.states() != {}


def test_a_failure_is_listed_and_stops_nobody(panel: Panel) -> None:
    models = {
        "first": Toy(error=DiagnosticsError("R-hat of 'kink' is 1.3")),
        "good": Toy(),
        "broken": Toy(error=ZeroDivisionError("division by zero")),
        "mute": Toy(mute=True),
        "other": Toy(targets=("sofr_iorb",)),
        "short": Toy(error=ModelError("needs\n  100 weeks")),
    }
    assessment = asked(panel, **models)
    assert [answer.model for answer in assessment.answers] == ["good"]
    assert {each.model: each.reason for each in assessment.silent} == {
        "first": "its sampler failed the diagnostics: R-hat of 'kink' is 1.3",
        "broken": "ZeroDivisionError: division by zero",
        "mute": "its fit has no ampleness() to ask",
        "other": "it models sofr_iorb, not effr_iorb",
        "short": "needs 100 weeks",
    }


def test_models_silent_for_the_same_reason_are_named_together() -> None:
    silent = [Silence("a", "left out"), Silence("b", "broken"), Silence("c", "left out")]
    assert list(reasons(silent)) == [("a, c", "left out"), ("b", "broken")]


def test_a_sample_that_is_too_short_is_said_with_advice_that_fits(panel: Panel) -> None:
    short = ShortHistoryError("'effr_iorb' has 8 complete weeks, fewer than the 100 needed. Raise it in the plan.")
    expected = r"no model answered\. a, b: 'effr_iorb' has 8 .* the 100 needed\. Ask with a later --as-of or an earlier --start\.$"
    with pytest.raises(ModelError, match=expected):
        asked(panel, a=Toy(error=short), b=Toy(error=short))


def test_a_sampler_that_failed_never_moves_the_state(panel: Panel) -> None:
    alone = asked(panel, good=Toy())
    beside = asked(panel, bad=Toy(error=DiagnosticsError("no")), good=Toy())
    assert alone.states() == beside.states()
    np.testing.assert_array_equal(alone.answers[0].ampleness.slope, beside.answers[0].ampleness.slope)


def test_a_model_that_takes_any_target_is_given_the_spread(panel: Panel) -> None:
    assert asked(panel, a=Toy(targets=())).answers[0].ampleness.spread == "effr_iorb"


def test_nobody_answering_is_an_error_with_the_reasons(panel: Panel) -> None:
    with pytest.raises(ModelError, match=r"no model answered\. bad: needs 100 weeks"):
        asked(panel, bad=Toy(error=ModelError("needs 100 weeks")))
    with pytest.raises(ModelError, match="None was asked"):
        asked(panel)


def test_an_instant_before_the_data_is_an_error_with_a_fix(vintages: Vintages) -> None:
    with pytest.raises(DataError, match="later --as-of"):
        asked(vintages.as_of("2007-01-01"), a=Toy())
    with pytest.raises(DataError, match="later --as-of"):
        asked(vintages.as_of("2005-01-01"), a=Toy())


def test_a_start_after_the_data_is_an_error_with_a_fix(panel: Panel) -> None:
    with pytest.raises(DataError, match="earlier --start"):
        asked(panel, start="2011-12-31", a=Toy())


def test_progress_names_the_next_model_and_ends_with_all(panel: Panel) -> None:
    said: list[Any] = []
    assess(
        {"a": Toy(), "b": Toy()},
        panel,
        "effr_iorb",
        start=pd.Timestamp("2009-01-01"),
        generator=lambda *_: np.random.default_rng(0),
        data="synthetic",
        progress=lambda *step: said.append(step),
    )
    assert said == [(0, 2, "a"), (1, 2, "b"), (2, 2, "")]


def test_the_future_is_invisible(vintages: Vintages, panel: Panel) -> None:
    assert asked(panel, a=Toy()).history.equals(asked(vintages.as_of("2011-11-17 17:00"), a=Toy()).history)
    later = asked(vintages.as_of("2011-11-18 17:00"), a=Toy()).history
    assert later.index[-1] == panel.as_of.tz_localize(None).normalize() - pd.Timedelta(days=1)
    assert np.isnan(asked(panel, a=Toy()).history["ratio"].loc["2011-11-09"])
    assert np.isfinite(later["ratio"].loc["2011-11-09"])


def test_silence_is_a_value() -> None:
    assert Silence("a", "b") == Silence("a", "b")
    assert TOLERANCES == (-0.25, -0.5, -1.0)
