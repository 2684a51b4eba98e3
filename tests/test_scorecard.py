import math

import numpy as np
import pandas as pd
import pytest

from forecast.errors import DataError, UsageError
from forecast.evaluation.confidence_set import confidence_set, superior_models
from forecast.evaluation.inference import diebold_mariano, giacomini_white, overlap, windows
from forecast.evaluation.scorecard import Scorecard
from forecast.evaluation.scores import COLUMNS, score_cell

# Spans two changes of the clock.
ORIGINS = pd.date_range("2022-01-06 17:00", periods=104, freq="7D").tz_localize("America/New_York").as_unit("us")
UNITS = {"reserves": "usd_bn", "spread": "bp"}


def outcomes(target, horizon):
    """By target week, so that horizons share them; the spread stands still in the second year."""
    week = np.arange(len(ORIGINS)) + horizon
    values = {"reserves": 3000 + 50 * np.sin(week / 5) + week % 3, "spread": np.where(week < 60, -7.0 + week % 2, -7.0)}
    return values[target]


def rows(model, *, every=1, conditioning="none", spread=1.0, bias=0.0, horizons=(1, 4), targets=("reserves", "spread")):
    """A model that forecasts N(outcome + bias + noise, spread)."""
    frames = []
    for target in targets:
        for h in horizons:
            truth = outcomes(target, h)
            rng = np.random.default_rng([len(model), h])
            centre = truth + bias + rng.normal(size=len(truth))
            draws = centre[:, None] + spread * rng.normal(size=(200, len(truth), 1))
            scores = score_cell(draws, truth[:, None], np.ones(1), rng=rng)
            frame = pd.DataFrame({name: values[:, 0] for name, values in scores.items()})
            frame = frame.assign(model=model, conditioning=conditioning, target=target, horizon=h, unit=UNITS[target])
            frame["outcome"], frame["origin"] = truth, ORIGINS
            frame["period"] = ORIGINS.tz_localize(None).normalize() + pd.to_timedelta(7 * h - 1, unit="D")
            frames.append(frame.iloc[::every])
    return pd.concat(frames)


def forget_outcomes(table, keep):
    """As it is for the latest origins: forecast, but not yet known."""
    table = table.copy()
    table.loc[~keep, ["outcome", *COLUMNS]] = np.nan
    return table


BENCHMARK = rows("random_walk", spread=2.0, bias=1.0)
CARD = Scorecard(pd.concat([BENCHMARK, rows("curve"), rows("slow", every=13), rows("curve", conditioning="realised")]))


def pick(table, **values):
    for name, value in values.items():
        table = table[table[name] == value]
    return table


def one(table, **values):
    found = pick(table, **values)
    assert len(found) == 1
    return found.iloc[0]


# ---------------------------------------------------------------- the table


def test_the_table_has_its_columns_in_order_and_type():
    expected = ["model", "conditioning", "target", "origin", "horizon", "period", "unit", "outcome", *COLUMNS]
    assert list(CARD.table.columns) == expected
    assert str(CARD.table["origin"].dtype) == "datetime64[us, America/New_York]"
    assert str(CARD.table["period"].dtype) == "datetime64[us]"
    assert CARD.table["horizon"].dtype == np.int64


def test_origins_of_another_time_zone_become_new_york():
    utc = BENCHMARK.assign(origin=BENCHMARK["origin"].dt.tz_convert("UTC").dt.as_unit("ns"))
    pd.testing.assert_frame_equal(Scorecard(utc).table, Scorecard(BENCHMARK).table)


def test_what_is_not_a_scorecard_is_refused():
    with pytest.raises(DataError, match="unknown: \\['brier_above_'\\]"):
        Scorecard(BENCHMARK.assign(brier_above_=0.0))
    with pytest.raises(DataError, match="missing: \\['crps'\\]"):
        Scorecard(BENCHMARK.drop(columns="crps"))
    with pytest.raises(DataError, match="unknown: \\['skill'\\]"):
        Scorecard(BENCHMARK.assign(skill=1.0))
    with pytest.raises(DataError, match="time zone"):
        Scorecard(BENCHMARK.assign(origin=BENCHMARK["origin"].dt.tz_localize(None)))
    with pytest.raises(DataError, match="twice: random_walk, none, reserves"):
        Scorecard(pd.concat([BENCHMARK, BENCHMARK.iloc[:1]]))


@pytest.mark.parametrize("name", ["scorecard.parquet", "scorecard.csv"])
def test_a_scorecard_comes_back_from_disk_unchanged(tmp_path, name):
    holes = forget_outcomes(CARD.table, CARD.table["origin"] < ORIGINS[90])
    card = Scorecard(holes)
    card.write(tmp_path / "deep" / name)
    pd.testing.assert_frame_equal(Scorecard.read(tmp_path / "deep" / name).table, card.table, check_exact=True)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == [name]


@pytest.mark.parametrize("label", ["NA", "null", "1", "nan", 'comma, "quote"'])
def test_a_model_may_have_any_label(tmp_path, label):
    card = Scorecard(BENCHMARK.assign(model=label))
    card.write(tmp_path / "scorecard.csv")
    pd.testing.assert_frame_equal(Scorecard.read(tmp_path / "scorecard.csv").table, card.table)


def test_reading_what_is_not_there_or_not_a_scorecard_says_so(tmp_path):
    with pytest.raises(DataError, match="no such scorecard"):
        Scorecard.read(tmp_path / "none.parquet")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="not a scorecard"):
        Scorecard.read(tmp_path / "other.csv")


def test_a_scorecard_of_before_the_energy_score_can_still_be_read():
    old = Scorecard(CARD.table.drop(columns="energy"))
    assert old.table["energy"].isna().all()
    pd.testing.assert_frame_equal(old.table.drop(columns="energy"), CARD.table.drop(columns="energy"))
    assert old.worse_than(CARD).empty
    assert set(CARD.worse_than(old, score="energy")["reason"]) == {"missing in the reference"}


# ---------------------------------------------------------------- thresholds


def with_threshold(model):
    """Scores at -7 bp for the spread only."""
    table = rows(model)
    spread = table["target"] == "spread"
    table["brier_above_-7"] = np.where(spread, np.linspace(0, 1, len(table)), np.nan)
    table["twcrps_above_-7"] = np.where(spread, np.linspace(0, 2, len(table)), np.nan)
    return table


def test_threshold_columns_come_last_and_come_back_from_disk(tmp_path):
    card = Scorecard(with_threshold("walk").sample(frac=1, random_state=2))
    assert list(card.table.columns[-2:]) == ["brier_above_-7", "twcrps_above_-7"]
    for name in ("card.csv", "card.parquet"):
        card.write(tmp_path / name)
        pd.testing.assert_frame_equal(Scorecard.read(tmp_path / name).table, card.table, check_exact=True)


def test_the_summary_counts_the_events_behind_a_brier_score():
    summary = Scorecard(with_threshold("walk")).summary()
    spread, reserves = one(summary, target="spread", horizon=1), one(summary, target="reserves", horizon=1)
    assert spread["events_above_-7"] == (outcomes("spread", 1) > -7).sum() > 0
    assert spread["n"] == 104
    assert 0 < spread["brier_above_-7"] < 1
    assert reserves[["brier_above_-7", "twcrps_above_-7", "events_above_-7"]].isna().all()


def test_models_can_be_compared_by_a_threshold_score_where_there_is_one():
    card = Scorecard(pd.concat([with_threshold("walk"), with_threshold("curve").assign(**{"brier_above_-7": 0.0})]))
    got = card.against("walk", score="brier_above_-7")
    assert got["target"].unique().tolist() == ["spread"]
    assert (got["difference"] < 0).all()
    with pytest.raises(UsageError, match=r"no score 'brier_above_5'.*brier_above_-7"):
        card.against("walk", score="brier_above_5")


# ---------------------------------------------------------------- summary


def test_the_summary_averages_each_models_own_cells():
    got = one(CARD.summary(), model="slow", target="reserves", horizon=4)
    cells = pick(CARD.table, model="slow", target="reserves", horizon=4)
    assert got["n"] == len(cells) == 8
    assert got["unit"] == "usd_bn"
    for name in ("crps", "log_score", "covered_90"):
        assert got[name] == pytest.approx(cells[name].mean())
    assert got["rmse"] == pytest.approx(math.sqrt(cells["squared_error"].mean()))


def test_the_summary_has_one_row_a_model_conditioning_target_and_horizon():
    summary = CARD.summary()
    assert len(summary) == 4 * 2 * 2
    assert not summary.duplicated(["model", "conditioning", "target", "horizon"]).any()


def test_models_and_targets_stand_in_the_order_of_the_table():
    # By name, curve would come before random_walk; within a model, targets keep their order too.
    summary = CARD.summary()
    assert list(dict.fromkeys(summary["model"])) == ["random_walk", "curve", "slow"]
    assert pick(summary, model="slow")[["target", "horizon"]].to_numpy().tolist() == [
        ["reserves", 1], ["reserves", 4], ["spread", 1], ["spread", 4],
    ]  # fmt: skip
    assert list(dict.fromkeys(CARD.against("curve")["model"])) == ["random_walk", "slow"]


def test_unknown_outcomes_are_never_counted():
    keep = CARD.table["origin"] < ORIGINS[52]
    holes, cut = Scorecard(forget_outcomes(CARD.table, keep)), Scorecard(CARD.table[keep])
    pd.testing.assert_frame_equal(holes.summary(), cut.summary())
    pd.testing.assert_frame_equal(holes.against("random_walk"), cut.against("random_walk"))
    assert one(holes.summary(), model="curve", conditioning="none", target="spread", horizon=1)["n"] == 52


# ---------------------------------------------------------------- against a benchmark


def test_every_other_model_is_compared_once_for_each_target_and_horizon():
    got = CARD.against("random_walk")
    assert set(got["model"]) == {"curve", "slow"}
    assert len(got) == 3 * 2 * 2
    assert set(got["regime"]) == {"all"}


def test_only_cells_that_both_have_are_compared():
    got = one(CARD.against("random_walk"), model="slow", target="reserves", horizon=1)
    slow = pick(CARD.table, model="slow", target="reserves", horizon=1).set_index("origin")["crps"]
    walk = pick(CARD.table, model="random_walk", target="reserves", horizon=1).set_index("origin")["crps"]
    assert got["n"] == len(slow) == 8
    assert got["mean"] == pytest.approx(slow.mean())
    assert got["benchmark"] == pytest.approx(walk[slow.index].mean())
    assert got["benchmark"] != pytest.approx(walk.mean(), rel=1e-6)
    assert got["skill"] == pytest.approx(1 - slow.mean() / walk[slow.index].mean())


def test_a_hole_on_either_side_is_left_out():
    table = CARD.table
    gone = (table["model"] == "random_walk") & (table["origin"] == ORIGINS[13])
    gone |= (table["model"] == "slow") & (table["origin"] == ORIGINS[26])
    got = Scorecard(table[~gone]).against("random_walk")
    assert one(got, model="slow", target="spread", horizon=1)["n"] == 6
    assert one(got, model="curve", conditioning="none", target="spread", horizon=1)["n"] == 103


def test_the_test_is_diebold_mariano_with_the_overlap_at_hand():
    table = CARD.table.sort_values("origin")
    for model, lags in (("curve", 3), ("slow", 0)):
        a = pick(table, model=model, conditioning="none", target="reserves", horizon=4).set_index("origin")["crps"]
        b = pick(table, model="random_walk", target="reserves", horizon=4).set_index("origin")["crps"][a.index]
        expected = diebold_mariano(a, b, lags=lags)
        got = one(CARD.against("random_walk"), model=model, conditioning="none", target="reserves", horizon=4)
        assert got["statistic"] == pytest.approx(expected.statistic)
        assert got["p_value"] == pytest.approx(expected.p_value)
        assert got["difference"] == pytest.approx(expected.mean_difference)
        assert got["standard_error"] == pytest.approx(expected.standard_error)
        assert got["test"] == ("ewc" if lags else "hln")
        assert got["statistic"] < 0
        assert got["skill"] > 0
        # The state is the latest loss difference whose week was over at the origin.
        known = (a - b).shift(lags + 1)
        conditional = giacomini_white(a, b, known, lags=lags).p_value
        assert got["conditional_p_value"] == pytest.approx(conditional, nan_ok=True)


def test_the_order_of_rows_does_not_matter():
    shuffled = Scorecard(CARD.table.sample(frac=1, random_state=3)).against("random_walk")
    keys = ["model", "conditioning", "target", "horizon"]
    ordered = [table.sort_values(keys, ignore_index=True) for table in (shuffled, CARD.against("random_walk"))]
    pd.testing.assert_frame_equal(*ordered)


def test_another_score_may_be_asked_for():
    got = one(
        CARD.against("random_walk", score="squared_error"),
        model="curve",
        conditioning="none",
        target="spread",
        horizon=1,
    )
    cells = pick(CARD.table, model="curve", conditioning="none", target="spread", horizon=1)
    assert got["mean"] == pytest.approx(cells["squared_error"].mean())


def test_an_unknown_benchmark_or_score_is_a_usage_error():
    with pytest.raises(UsageError, match=r"benchmark 'walk'.*random_walk"):
        CARD.against("walk")
    with pytest.raises(UsageError, match=r"no score 'pit'.*crps"):
        CARD.against("random_walk", score="pit")


def test_the_benchmark_is_unconditional():
    conditional = rows("random_walk", conditioning="realised", spread=9.0)
    both = Scorecard(pd.concat([CARD.table, Scorecard(conditional).table]))
    pd.testing.assert_frame_equal(both.against("random_walk"), CARD.against("random_walk"))
    with pytest.raises(UsageError, match="no scored unconditional"):
        Scorecard(conditional).against("random_walk")


def test_a_model_without_a_common_cell_has_no_row():
    table = CARD.table
    later = rows("late", targets=("spread",)).query("origin >= @ORIGINS[60]")
    early = table[table["origin"] < ORIGINS[60]]
    got = Scorecard(pd.concat([early, later])).against("random_walk")
    assert "late" not in set(got["model"])
    assert len(Scorecard(table[table["model"] == "random_walk"]).against("random_walk")) == 0


def test_an_equal_model_is_shown_as_equal_and_not_tested():
    twin = BENCHMARK.assign(model="twin")
    got = one(Scorecard(pd.concat([BENCHMARK, twin])).against("random_walk"), target="spread", horizon=1)
    assert got["share_zero"] == 1.0
    assert got["skill"] == 0.0
    assert math.isnan(got["p_value"])
    assert got["reason"] == "both scores are always equal"


def test_skill_is_missing_where_the_benchmark_never_errs():
    table = CARD.table.copy()
    table.loc[table["model"] == "random_walk", "crps"] = 0.0
    got = one(Scorecard(table).against("random_walk"), model="slow", target="spread", horizon=1)
    assert math.isnan(got["skill"])
    assert got["difference"] > 0


# ---------------------------------------------------------------- many models

MANY = Scorecard(
    pd.concat([BENCHMARK, rows("curve"), rows("drift", bias=0.2), rows("slow", every=13), rows("poor", spread=40.0)])
)


def losses_of(card, horizon, models):
    mine = pick(card.table, target="reserves", horizon=horizon, conditioning="none")
    return mine.pivot_table(index="origin", columns="model", values="crps")[models]


def test_the_confidence_set_is_that_of_the_models_on_the_origins_they_share():
    got = pick(MANY.confidence_sets(), target="reserves", horizon=4).set_index("model")
    expected = confidence_set(losses_of(MANY, 4, ["random_walk", "curve", "drift", "poor"]), lags=3)
    np.testing.assert_array_equal(got.loc[expected.index, "p_value"], expected["p_value"])
    np.testing.assert_array_equal(got.loc[expected.index, "n"], 104)
    assert got.loc["curve", "inside"]
    assert not got.loc["poor", "inside"]


def test_a_model_that_was_asked_rarely_does_not_take_origins_from_the_others():
    got = pick(MANY.confidence_sets(), target="reserves", horizon=1, model="slow").iloc[0]
    assert got["reason"] == "asked at 8 of 104 origins"
    assert math.isnan(got["p_value"])
    assert pd.isna(got["inside"])


def test_confidence_sets_stand_apart_by_conditioning_and_regime():
    got = CARD.confidence_sets(regimes=[FIRST, SECOND, EMPTY])
    assert set(got["regime"]) == {"all", "first year", "second year"}
    alone = pick(got, conditioning="realised")
    assert (alone["reason"] == "no other model").all()
    half = one(
        pick(MANY.confidence_sets(regimes=[FIRST]), regime="first year"), model="curve", target="spread", horizon=1
    )
    assert half["n"] == 52


def test_models_that_beat_the_benchmark_are_named_with_a_p_value_for_all_of_them():
    got = pick(MANY.superior("random_walk"), target="reserves", horizon=4).set_index("model")
    expected = superior_models(losses_of(MANY, 4, ["random_walk", "curve", "drift", "poor"]), "random_walk", lags=3)
    assert set(got.index) == {"curve", "drift", "poor"}
    np.testing.assert_allclose(got.loc[expected.index, "p_value"], expected["p_value"])
    assert got.loc["curve", "p_value"] < 0.05 < got.loc["poor", "p_value"]


def test_conditional_forecasts_and_cases_without_the_benchmark_are_not_among_the_superior():
    assert CARD.superior("curve")["model"].unique().tolist() == ["random_walk"]
    only_spread = Scorecard(pd.concat([rows("walk", targets=("spread",)), rows("curve")]))
    assert set(only_spread.superior("walk")["target"]) == {"spread"}
    assert Scorecard(BENCHMARK).superior("random_walk").empty


def test_many_models_can_be_compared_by_another_score_and_not_by_an_unknown_one():
    other = MANY.confidence_sets(score="squared_error")
    assert one(other, model="curve", target="reserves", horizon=1)["mean"] == pytest.approx(
        pick(MANY.table, model="curve", target="reserves", horizon=1)["squared_error"].mean()
    )
    for compare in (MANY.confidence_sets, lambda **options: MANY.superior("random_walk", **options)):
        with pytest.raises(UsageError, match="no score 'pit'"):
            compare(score="pit")


# ---------------------------------------------------------------- regimes and flat stretches

FIRST = ("first year", pd.Timestamp("2022-01-01"), pd.Timestamp("2022-12-31"))
SECOND = ("second year", pd.Timestamp("2023-01-01"), pd.Timestamp("2023-12-28"))
EMPTY = ("long ago", pd.Timestamp("2001-01-01"), pd.Timestamp("2002-01-01"))


def test_regimes_split_the_origins_and_both_ends_belong():
    got = CARD.against("random_walk", regimes=[FIRST, SECOND, EMPTY])
    mine = pick(got, model="curve", conditioning="none", target="reserves", horizon=1).set_index("regime")
    assert list(mine.index) == ["all", "first year", "second year"]
    assert mine["n"].tolist() == [104, 52, 52]
    weighted = (mine["mean"] * mine["n"]).loc[["first year", "second year"]].sum() / 104
    assert mine.loc["all", "mean"] == pytest.approx(weighted)
    edge = CARD.against("random_walk", regimes=[("one day", pd.Timestamp("2022-01-06"), pd.Timestamp("2022-01-06"))])
    one_day = one(edge, model="slow", target="spread", horizon=4, regime="one day")
    assert one_day["n"] == 1
    assert "at least 8" in one_day["reason"]


def test_moved_shows_where_the_outcome_stood_still():
    got = CARD.against("random_walk", regimes=[FIRST, SECOND])
    mine = pick(got, model="curve", conditioning="none", target="spread", horizon=1).set_index("regime")["moved"]
    changes = np.diff(outcomes("spread", 1)) != 0
    assert mine["all"] == pytest.approx(changes.mean())
    assert mine["first year"] == 1.0
    assert mine["second year"] == pytest.approx(changes[51:].mean())
    assert mine["second year"] < 0.2


def test_moved_compares_with_the_origin_before_also_for_a_model_asked_rarely():
    # The spread alternates every week: thirteen weeks apart it differs too, two origins of `slow` on a flat year do not.
    slow = one(CARD.against("random_walk"), model="slow", target="spread", horizon=1)
    known = outcomes("spread", 1)
    expected = [known[i] != known[i - 1] for i in range(13, 104, 13)]
    assert slow["moved"] == pytest.approx(np.mean(expected))


def test_a_rounding_error_is_not_a_move():
    table = BENCHMARK.assign(outcome=np.where(np.arange(len(BENCHMARK)) % 2, -7.0, 100 * (5.33 - 5.40)))
    got = Scorecard(pd.concat([table, table.assign(model="twin")])).against("random_walk")
    assert (got["moved"] == 0).all()


# ---------------------------------------------------------------- overlap


@pytest.mark.parametrize(("every", "horizon"), [(1, 1), (1, 4), (1, 26), (4, 13), (13, 13), (13, 26), (13, 4), (5, 26)])
def test_overlap_of_evenly_spaced_origins_has_a_closed_form(every, horizon):
    assert overlap(ORIGINS[::every], horizon) == math.ceil(horizon / every) - 1


def test_a_hole_in_the_origins_does_not_hide_the_overlap_elsewhere():
    holes = ORIGINS.delete([5, 6, 7, 30])
    assert overlap(holes, 4) == 3
    assert overlap(ORIGINS[[0, 20, 21, 60]], 4) == 1
    assert overlap(ORIGINS[:1], 26) == 0


def test_the_change_of_the_clock_does_not_stretch_a_week():
    spring = ORIGINS[(ORIGINS > "2022-03-01") & (ORIGINS < "2022-04-01")]
    assert overlap(spring, 1) == 0


# ---------------------------------------------------------------- windows


@pytest.mark.parametrize(
    ("every", "horizon"), [(1, 1), (1, 4), (1, 13), (1, 26), (4, 13), (13, 13), (13, 26), (13, 4), (5, 26)]
)
def test_windows_of_evenly_spaced_origins_have_a_closed_form(every, horizon):
    origins = ORIGINS[::every]
    assert windows(origins, horizon) == math.ceil(len(origins) / math.ceil(horizon / every))


def test_two_years_of_weekly_origins_hold_eight_quarters_and_four_halves():
    years = pd.date_range("2018-01-04 17:00", "2019-12-31", freq="7D").tz_localize("America/New_York")
    assert [windows(years, h) for h in (1, 13, 26)] == [104, 8, 4]


@pytest.mark.parametrize("seed", range(20))
def test_windows_are_those_of_a_walk_that_takes_each_origin_it_can(seed):
    rng = np.random.default_rng(seed)
    origins = ORIGINS[np.sort(rng.choice(len(ORIGINS), size=rng.integers(1, 60), replace=False))]
    horizon, taken = int(rng.integers(1, 30)), []
    for day in origins.tz_localize(None).normalize():
        if not taken or day - taken[-1] >= pd.Timedelta(weeks=horizon):
            taken.append(day)
    assert windows(origins, horizon) == len(taken)


def test_no_more_windows_fit_than_are_counted():
    """Taking the first that fits is optimal: no choice of origins that do not overlap is larger."""
    days = np.array([0, 1, 3, 4, 5, 9, 10, 12, 13, 17])
    most = max(
        len(chosen)
        for mask in range(1 << len(days))
        if len(chosen := days[[bool(mask >> i & 1) for i in range(len(days))]]) and (np.diff(chosen) >= 4).all()
    )
    assert windows(ORIGINS[days], 4) == most


def test_the_comparison_counts_windows_among_common_cells_in_each_regime():
    table = CARD.table
    gone = (table["model"] == "random_walk") & (table["origin"] == ORIGINS[0])
    got = Scorecard(table[~gone]).against("random_walk", regimes=[FIRST, SECOND])
    curve = pick(got, model="curve", conditioning="none", target="reserves", horizon=4).set_index("regime")
    assert curve["windows"].to_dict() == {"all": 26, "first year": 13, "second year": 13}
    assert curve["n"].to_dict() == {"all": 103, "first year": 51, "second year": 52}
    slow = one(got, model="slow", target="reserves", horizon=4, regime="all")
    assert slow["windows"] == slow["n"] == 7, "13 weeks apart, forecasts of 4 weeks do not overlap"
