"""The assets of the central bank: what it bought to create reserves."""

from __future__ import annotations

import pandas as pd

from forecast.data.vintages import Panel
from forecast.features.feature_set import feature
from forecast.features.transforms import difference


@feature(inputs=["securities_wednesday"], unit="usd_bn")
def securities_change(panel: Panel) -> pd.Series:
    """Change of securities held outright over the week; a purchase adds reserves one for one.

        securities_wednesday(t) - securities_wednesday(t - 1)

    Mostly scheduled: purchases and redemptions are announced weeks before they settle.

    Returns
    -------
    (T,) usd_bn a week, between Wednesdays: do not add it to week averages
    """
    return difference(panel.series("securities_wednesday"))
