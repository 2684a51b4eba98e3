import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from forecast.evaluation.multiplicity import benjamini_hochberg, holm

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=30).map(np.array)


def test_holm_agrees_with_the_textbook():
    # Holm by hand: 0.01*4, 0.02*3, 0.03*2 (kept monotone), 0.04*1
    adjusted = holm(pd.Series([0.04, 0.01, 0.03, 0.02]))
    np.testing.assert_allclose(adjusted, [0.06, 0.04, 0.06, 0.06])


def test_benjamini_hochberg_by_hand():
    # 0.005*4/1 = 0.02, 0.02*4/2 = 0.04, 0.04*4/3 = 0.053 (kept monotone by the next), 0.05*4/4 = 0.05
    adjusted = benjamini_hochberg(pd.Series([0.05, 0.005, 0.04, 0.02]))
    np.testing.assert_allclose(adjusted, [0.05, 0.02, 0.05, 0.04])


@settings(max_examples=25, deadline=None)
@given(p_values)
def test_both_agree_with_statsmodels(p):
    for ours, method in ((holm, "holm"), (benjamini_hochberg, "fdr_bh")):
        np.testing.assert_allclose(ours(pd.Series(p)), multipletests(p, method=method)[1], rtol=1e-12, atol=1e-300)


@given(p_values)
def test_adjusted_p_values_keep_the_order_and_never_fall(p):
    for adjusted in (holm(pd.Series(p)), benjamini_hochberg(pd.Series(p))):
        assert (adjusted >= p - 1e-15).all()
        assert adjusted.iloc[np.argsort(p, kind="stable")].is_monotonic_increasing
    assert (holm(pd.Series(p)) >= benjamini_hochberg(pd.Series(p)) - 1e-12).all()


def test_a_missing_p_value_stays_missing_and_is_not_counted():
    p = pd.Series([0.04, np.nan, 0.01], index=["a", "b", "c"])
    for adjust in (holm, benjamini_hochberg):
        pd.testing.assert_series_equal(adjust(p).drop("b"), adjust(p.drop("b")))
        assert np.isnan(adjust(p)["b"])
        assert adjust(pd.Series([np.nan])).isna().all()


def test_holm_holds_the_chance_of_one_false_finding_and_benjamini_hochberg_their_share():
    rng = np.random.default_rng(3)
    false, found_share = 0, []
    for _ in range(1000):
        p = pd.Series(np.r_[rng.uniform(size=20), rng.uniform(size=10) ** 8])  # 20 true equalities, 10 differences
        false += bool((holm(p)[:20] < 0.1).any())
        found = benjamini_hochberg(p) < 0.1
        found_share.append(found[:20].sum() / max(found.sum(), 1))
    assert false / 1000 < 0.13
    assert np.mean(found_share) < 0.1
    assert np.mean(found_share) == pytest.approx(0.1 * 20 / 30, abs=0.02)
