"""One run of the economy, and the truth about it that no estimator may read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecast.calendar import Days
from forecast.data.catalog import catalog
from forecast.data.synthetic import balance_sheet, macro, money_market, policy, publication, yields
from forecast.data.synthetic.economy import FIRST_DAY, Array, Economy, business_days, every_day
from forecast.data.vintages import Vintages


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What the simulation knows and the published data do not say.

    economy : the specification
    daily   : (T, ...) by business day: ratio (percent, before standing repo), kink (percent), alpha, sigma, curve, spikes,
              spread, sofr_spread, tgcr_spread (bp, before rounding), slope (bp per percentage point of bank assets),
              duration_effect (bp, on the 10-year term premium), expected_duration (usd_bn of ten-year equivalents)
    weekly  : (W, ...) the same, averaged over reserve weeks (seven days, Thursday to Wednesday)
    effects : (E, 3) known effects: kind ("duration", on the 10-year term premium at an announcement; "alpha", a vertical
              shift), bp, by date
    sheet   : (T, 11) every item of the balance sheet, usd_bn, by business day
    beta    : bp per percentage point of bank assets
    tau     : percentage points
    """

    economy: Economy
    daily: pd.DataFrame
    weekly: pd.DataFrame
    effects: pd.DataFrame
    sheet: pd.DataFrame

    @property
    def beta(self) -> float:
        return self.economy.beta

    @property
    def tau(self) -> float:
        return self.economy.tau


def simulate(economy: Economy) -> tuple[Vintages, Truth]:
    """Run an economy: what its statisticians publish, and the truth behind it."""
    days, streams = business_days(economy), economy.streams()
    raise NotImplementedError
