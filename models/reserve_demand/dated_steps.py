"""Dated steps: changes of rules that shifted the price of reserves up or down at a known date.

References
----------
Federal Register 76 FR 10672 (deposit insurance assessment base). Federal Reserve Bank of New York, operating
policy statements of 2013-09-20 (reverse repo exercise), 2015-07-08 (median instead of mean, from the rate of 2016-03-01).
FOMC implementation notes of the day before each technical adjustment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class DatedStep:
    """A change of rules.

    name      : how the posterior calls it
    effective : first day on which it held
    known     : day on which it was announced
    """

    name: str
    effective: pd.Timestamp
    known: pd.Timestamp


def _step(name: str, effective: str, known: str) -> DatedStep:
    return DatedStep(name, pd.Timestamp(effective), pd.Timestamp(known))


DATED_STEPS: tuple[DatedStep, ...] = (
    _step("deposit insurance on all liabilities", "2011-04-01", "2011-02-07"),
    _step("overnight reverse repo exercise", "2013-09-23", "2013-09-20"),
    _step("effr from mean to median", "2016-03-01", "2015-07-08"),
    _step("technical adjustment 2018-06", "2018-06-14", "2018-06-13"),
    _step("technical adjustment 2018-12", "2018-12-20", "2018-12-19"),
    _step("technical adjustment 2019-05", "2019-05-02", "2019-05-01"),
    _step("technical adjustment 2019-09", "2019-09-19", "2019-09-18"),
    _step("technical adjustment 2020-01", "2020-01-30", "2020-01-29"),
    _step("technical adjustment 2021-06", "2021-06-17", "2021-06-16"),
    _step("reverse repo rate 2024-12", "2024-12-19", "2024-12-18"),
)
STEP_NAMES = tuple(step.name for step in DATED_STEPS)


def step_columns(weeks: pd.DatetimeIndex, first: pd.Timestamp, last: pd.Timestamp) -> NDArray[np.float64]:
    """1 from the first reserve week that ends with the step in force and announced.

    A step that had not happened by the end of the sample, or had before it began, is zero throughout: the
    sample cannot tell it from the intercept, and nothing learnt later may enter.

    Parameters
    ----------
    weeks       : (T,) Wednesdays
    first, last : Wednesdays of the sample's first and last week

    Returns
    -------
    (T, J) 0 or 1
    """
    starts = pd.DatetimeIndex([max(step.effective, step.known) for step in DATED_STEPS])
    inside = (starts > first) & (starts <= last)
    return ((weeks.to_numpy()[:, None] >= starts.to_numpy()) & inside).astype(float)
