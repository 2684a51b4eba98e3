import math

import numpy as np
import pandas as pd
import pytest

from forecast.errors import UsageError
from forecast.evaluation.comparison import WORSE, worsened
from forecast.evaluation.inference import standard_error_of_mean
from forecast.evaluation.scorecard import Scorecard
from forecast.evaluation.scores import COLUMNS

ORIGINS = pd.date_range("2022-01-06 17:00", periods=60, freq="7D").tz_localize("America/New_York").as_unit("us")


def table(model="drift", *, horizons=(1, 4), conditioning="none", crps=1.0, seed=1):
    rng = np.random.default_rng(seed)
    frames = []
    for h in horizons:
        frame = pd.DataFrame({"origin": ORIGINS, "outcome": 100 + np.arange(60.0) + h})
        frame["period"] = ORIGINS.tz_localize(None).normalize() + pd.to_timedelta(7 * h - 1, unit="D")
        frame = frame.assign(model=model, conditioning=conditioning, target="reserves", unit="usd_bn", horizon=h)
        frame[list(COLUMNS)] = crps + rng.exponential(size=(60, len(COLUMNS)))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def shifted(before, by, **where):
    """The same scorecard with ``by`` (60,) added to the CRPS of one series."""
    now = before.copy()
    chosen = np.logical_and.reduce([now[name] == value for name, value in where.items()])
    now.loc[chosen, "crps"] += by
    return now


BEFORE = pd.concat([table(), table("curve", seed=2)], ignore_index=True)
NOISE = np.random.default_rng(5).normal(size=60)


def compared(now, before=BEFORE, **options):
    return Scorecard(now).worse_than(Scorecard(before), **options)


def test_a_scorecard_is_not_worse_than_itself():
    got = compared(BEFORE)
    assert got.empty
    assert tuple(got.columns) == WORSE


def test_a_better_scorecard_is_not_worse():
    assert compared(shifted(BEFORE, -0.5, model="curve")).empty


def test_only_the_series_that_worsened_is_listed():
    got = compared(shifted(BEFORE, 0.4 + 0.1 * NOISE, model="curve", horizon=4))
    assert got[["model", "conditioning", "target", "horizon", "n"]].to_numpy().tolist() == [
        ["curve", "none", "reserves", 4, 60]
    ]
    row = got.iloc[0]
    assert row["mean"] - row["reference"] == pytest.approx(row["difference"])
    assert row["difference"] == pytest.approx(0.4 + 0.1 * NOISE.mean())
    assert row["reason"].startswith("crps worse by 0.3785, ")


def test_the_standard_error_is_of_the_paired_difference_with_its_overlap():
    d = 0.4 + NOISE
    row = compared(shifted(BEFORE, d, model="curve", horizon=4)).iloc[0]
    assert row["standard_error"] == pytest.approx(standard_error_of_mean(d, 3)[0])
    row = compared(shifted(BEFORE, d, model="curve", horizon=1)).iloc[0]
    assert row["standard_error"] == pytest.approx(d.std(ddof=1) / math.sqrt(60))


def test_the_tolerance_counts_standard_errors():
    noise = (NOISE - NOISE.mean()) / NOISE.std(ddof=1) * math.sqrt(60)  # standard error of the mean: one
    for difference, tolerance, listed in ((0.9, 1.0, 0), (1.1, 1.0, 1), (1.9, 2.0, 0), (2.1, 2.0, 1), (0.1, 0.0, 1)):
        now = shifted(BEFORE, noise + difference, model="drift", horizon=1)
        assert len(compared(now, tolerance=tolerance)) == listed


def test_a_constant_worsening_has_no_noise_to_excuse_it():
    got = compared(shifted(BEFORE, 0.01, model="drift", horizon=1))
    assert got["horizon"].tolist() == [1]
    assert got["standard_error"].iloc[0] == pytest.approx(0, abs=1e-12)


def test_the_last_digits_of_another_machine_are_not_a_worsening():
    assert compared(shifted(BEFORE, 1e-8, model="drift")).empty
    assert compared(BEFORE.assign(crps=BEFORE["crps"] * (1 + 1e-7))).empty
    assert compared(BEFORE, BEFORE.assign(crps=[float(f"{value:.6g}") for value in BEFORE["crps"]])).empty


def test_a_model_that_is_gone_or_new_is_listed_as_such():
    got = compared(BEFORE[BEFORE["model"] == "drift"], BEFORE[BEFORE["model"] == "curve"])
    assert got[["model", "horizon", "reason"]].to_numpy().tolist() == [
        ["curve", 1, "missing here"], ["curve", 4, "missing here"],
        ["drift", 1, "missing in the reference"], ["drift", 4, "missing in the reference"],
    ]  # fmt: skip
    assert (got["n"] == 0).all()
    assert got[["mean", "reference", "difference", "standard_error"]].isna().all(axis=None)


def test_a_conditioning_of_its_own_is_a_series_of_its_own():
    got = compared(BEFORE, pd.concat([BEFORE, table(conditioning="realised")]))
    assert got[["model", "conditioning", "reason"]].drop_duplicates().to_numpy().tolist() == [
        ["drift", "realised", "missing here"]
    ]


def test_lost_cells_are_listed_and_the_rest_is_still_compared():
    now = shifted(BEFORE, 0.5, model="drift", horizon=4)
    lost = (now["model"] == "drift") & (now["origin"] < ORIGINS[3])
    got = compared(now[~lost]).set_index("horizon")
    assert got.loc[1, "reason"] == "3 of 60 cells missing here"
    assert got.loc[4, "reason"].endswith("; 3 of 60 cells missing here")
    assert got.loc[4, "reason"].startswith("crps worse by 0.5")
    assert got["n"].tolist() == [57, 57]


def test_a_cell_without_an_outcome_is_not_scored_and_counts_as_missing():
    now = BEFORE.copy()
    forgotten = (now["model"] == "drift") & (now["horizon"] == 1) & (now["origin"] == ORIGINS[-1])
    now.loc[forgotten, ["outcome", *COLUMNS]] = np.nan
    assert compared(now)["reason"].tolist() == ["1 of 60 cells missing here"]
    assert compared(BEFORE, now)["reason"].tolist() == ["1 of 60 cells missing in the reference"]


def test_other_outcomes_are_other_data():
    now = BEFORE.copy()
    now.loc[(now["model"] == "curve") & (now["origin"] == ORIGINS[7]), "outcome"] += 1
    assert compared(now)["reason"].unique().tolist() == ["outcomes differ in 1 of 60 cells: not the same data"]


def test_one_common_cell_is_compared_without_a_standard_error():
    first = BEFORE[(BEFORE["origin"] == ORIGINS[0]) & (BEFORE["horizon"] == 1)]
    row = compared(shifted(first, 0.5, model="drift"), first).iloc[0]
    assert (row["n"], row["difference"]) == (1, pytest.approx(0.5))
    assert math.isnan(row["standard_error"])


def test_another_score_may_be_compared_and_an_unknown_one_is_a_usage_error():
    assert compared(shifted(BEFORE, 0.4, model="curve"), score="squared_error").empty
    with pytest.raises(UsageError, match=r"no score 'skill'"):
        compared(BEFORE, score="skill")


def test_an_untouched_model_with_other_random_numbers_is_seldom_listed():
    rng = np.random.default_rng(9)
    one = table(horizons=(1,))
    listed = sum(
        len(worsened(shifted(one, d, horizon=1), one, score="crps", tolerance=1.0)) for d in rng.normal(size=(200, 60))
    )
    assert listed / 200 == pytest.approx(0.16, abs=0.08)
