"""Credit to households and businesses, as it was known.

Z.1 appears about ten weeks after a quarter, H.8 nine days after a week.
"""

from __future__ import annotations

import pandas as pd

from forecast.data.vintages import Panel
from forecast.features.feature_set import feature
from forecast.features.transforms import at, by_reserve_week, growth, lag, present


@feature(inputs=["bank_credit"], unit="percent")
def bank_credit_growth(panel: Panel) -> pd.Series:
    """Growth of bank credit over a quarter, at an annual rate.

        100 * ((bank_credit(t) / bank_credit(t - 13))^4 - 1)

    Returns
    -------
    (T,) percent a year; two weeks late, as H.8 is
    """
    return _quarterly_growth(panel.series("bank_credit"))


@feature(inputs=["bank_loans"], unit="percent")
def bank_loan_growth(panel: Panel) -> pd.Series:
    """Growth of loans and leases of banks over a quarter, at an annual rate.

        100 * ((bank_loans(t) / bank_loans(t - 13))^4 - 1)

    Returns
    -------
    (T,) percent a year; two weeks late, as H.8 is
    """
    return _quarterly_growth(panel.series("bank_loans"))


@feature(inputs=["household_debt", "business_debt", "gdp"], unit="percent")
def private_debt_to_gdp(panel: Panel) -> pd.Series:
    """Debt of households and nonfinancial businesses relative to a year's GDP, last published.

        100 * (household_debt(q) + business_debt(q)) / gdp(q),  q = last quarter public by Thursday 17:00 after t

    Returns
    -------
    (T,) percent of annual GDP of the same quarter

    References
    ----------
    Schularick and Taylor (2012), Credit Booms Gone Bust: credit, not money, precedes financial crises.
    """
    return _to_gdp(panel, panel.series("household_debt") + panel.series("business_debt"))


@feature(inputs=["household_debt", "gdp"], unit="percent")
def household_debt_to_gdp(panel: Panel) -> pd.Series:
    """Debt of households relative to a year's GDP, last published.

        100 * household_debt(q) / gdp(q),  q = last quarter public by Thursday 17:00 after t

    Returns
    -------
    (T,) percent of annual GDP of the same quarter
    """
    return _to_gdp(panel, panel.series("household_debt"))


@feature(inputs=["mortgage_debt", "gdp"], unit="percent")
def mortgage_debt_to_gdp(panel: Panel) -> pd.Series:
    """Home mortgages of households relative to a year's GDP, last published; a part of household debt.

        100 * mortgage_debt(q) / gdp(q),  q = last quarter public by Thursday 17:00 after t

    Returns
    -------
    (T,) percent of annual GDP of the same quarter
    """
    return _to_gdp(panel, panel.series("mortgage_debt"))


@feature(inputs=["business_debt", "gdp"], unit="percent")
def business_debt_to_gdp(panel: Panel) -> pd.Series:
    """Debt of nonfinancial businesses relative to a year's GDP, last published.

        100 * business_debt(q) / gdp(q),  q = last quarter public by Thursday 17:00 after t

    Returns
    -------
    (T,) percent of annual GDP of the same quarter
    """
    return _to_gdp(panel, panel.series("business_debt"))


@feature(inputs=["corporate_debt", "gdp"], unit="percent")
def corporate_debt_to_gdp(panel: Panel) -> pd.Series:
    """Debt of nonfinancial corporations relative to a year's GDP, last published; a part of business debt.

        100 * corporate_debt(q) / gdp(q),  q = last quarter public by Thursday 17:00 after t

    Returns
    -------
    (T,) percent of annual GDP of the same quarter
    """
    return _to_gdp(panel, panel.series("corporate_debt"))


@feature(inputs=["household_debt", "business_debt"], unit="percent")
def private_debt_growth(panel: Panel) -> pd.Series:
    """Growth of private nonfinancial debt over four quarters, last published.

        100 * (debt(q) / debt(q - 4) - 1),  debt = household_debt + business_debt

    Returns
    -------
    (T,) percent a year
    """
    debt = (panel.series("household_debt") + panel.series("business_debt")).dropna()
    return by_reserve_week(growth(debt), panel.catalog["household_debt"], panel)


def _quarterly_growth(series: pd.Series) -> pd.Series:
    ratio = series.to_numpy(dtype=float) / at(lag(series, 13), series.index)
    return present(100 * (ratio**4 - 1), series.index)


def _to_gdp(panel: Panel, debt: pd.Series) -> pd.Series:
    # Z.1 comes after the national accounts of its quarter, so its clock decides when the ratio was known.
    ratio = present(100 * debt.to_numpy(dtype=float) / at(panel.series("gdp"), debt.index), debt.index)
    return by_reserve_week(ratio, panel.catalog["household_debt"], panel)
