"""Net new cash raised by the Treasury, by kind of security: collateral that repo must finance.

From the Daily Treasury Statement, which records issues when they settle: known the day after, not in advance.
Regular settlement dates are known in advance and are calendar effects.
"""

from __future__ import annotations

import pandas as pd

from forecast.data.vintages import Panel
from forecast.features.feature_set import feature


@feature(inputs=["net_bill_issuance"], unit="usd_bn", frequency="D", weekly="sum")
def bill_supply(panel: Panel) -> pd.Series:
    """Treasury bills issued less redeemed in the week.

        sum over days of net_bill_issuance(d)

    Returns
    -------
    (T,) usd_bn a week, positive adds bills, from 2021-06

    References
    ----------
    Cordes and Infante (2025), Repo Rate Sensitivity to Treasury Issuance and Quantitative Tightening, FEDS Note.
    """
    return panel.series("net_bill_issuance")


@feature(inputs=["net_coupon_issuance"], unit="usd_bn", frequency="D", weekly="sum")
def coupon_supply(panel: Panel) -> pd.Series:
    """Treasury notes, bonds, TIPS and floating-rate notes issued less redeemed in the week.

        sum over days of net_coupon_issuance(d)

    Returns
    -------
    (T,) usd_bn a week, positive adds coupons, from 2021-06

    References
    ----------
    Cordes and Infante (2025), Repo Rate Sensitivity to Treasury Issuance and Quantitative Tightening, FEDS Note.
    """
    return panel.series("net_coupon_issuance")
