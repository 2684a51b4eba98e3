"""How a yield or a spread moves after a balance-sheet item did: the question and its answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import UsageError
from forecast.units import Unit

LEVELS = (0.68, 0.95)


@dataclass(frozen=True, slots=True)
class ResponseQuestion:
    """What an impulse response is asked for.

    shock    : feature that moves first
    response : feature whose later path is asked for
    horizon  : last week after the shock, H
    lags     : weeks of history held constant; one more is added as augmentation
    controls : features whose past is held constant too
    """

    shock: str
    response: str
    horizon: int = 26
    lags: int = 8
    controls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.horizon < 0 or self.lags < 1:
            raise UsageError(f"horizon {self.horizon} and lags {self.lags}: use at least 0 and 1 weeks.")


@dataclass(frozen=True, slots=True, eq=False)
class ImpulseResponse:
    """Path of a response after a shock of a stated size.

    question       : what was asked, in names of features
    size           : of the shock, in ``shock_unit``
    shock_unit     : unit of the shock's size
    unit           : unit of the response
    dollars        : USD bn that a shock of this size is at the end of the sample; None where not a share of bank assets
    estimate       : (H+1,) response after h = 0, 1, ..., H weeks, in ``unit``
    standard_error : (H+1,) same unit
    n              : (H+1,) weeks used at each horizon
    first, last    : first and last week of the sample, lags and leads included
    """

    question: ResponseQuestion
    size: float
    shock_unit: Unit
    unit: Unit
    dollars: float | None
    estimate: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    n: NDArray[np.int64]
    first: pd.Timestamp
    last: pd.Timestamp

    @property
    def horizons(self) -> NDArray[np.int64]:
        """(H+1,) weeks after the shock."""
        return np.arange(len(self.estimate), dtype=np.int64)

    @property
    def shock(self) -> str:
        """The shock in words, with its size and unit."""
        return f"{_amount(self.size, self.shock_unit)} rise in {self.question.shock}"

    def interval(self, level: float) -> NDArray[np.float64]:
        """(2, H+1) lower and upper bound, normal, each horizon by itself.

        Raises
        ------
        UsageError : the level is not between 0 and 1
        """
        from scipy.stats import norm

        if not 0 < level < 1:
            raise UsageError(f"level {level}: use a probability between 0 and 1, such as 0.95.")
        half = norm.ppf(0.5 + level / 2) * self.standard_error
        return np.stack([self.estimate - half, self.estimate + half])

    def table(self) -> pd.DataFrame:
        """One row a horizon: estimate, standard error, 68 and 95 percent bands, weeks used."""
        bands = {
            f"{side}_{level:.0%}".rstrip("%"): bound
            for level in LEVELS
            for side, bound in zip(("low", "high"), self.interval(level), strict=True)
        }
        columns = {"estimate": self.estimate, "standard_error": self.standard_error, **bands, "n": self.n}
        return pd.DataFrame(columns, index=pd.Index(self.horizons, name="horizon"))

    def sentence(self) -> str:
        """The largest response and whether noise alone could give as much."""
        low, high = self.interval(0.95)
        h = int(np.argmax(np.abs(self.estimate / self.standard_error)))
        outside = int(np.sum((low > 0) | (high < 0)))
        return (
            f"After weeks in which {self.question.shock} rose {_amount(self.size, self.shock_unit)} more than the past "
            f"predicts, {self.question.response} stood {abs(self.estimate[h]):.1f} {self.unit.label} "
            f"{'higher' if self.estimate[h] > 0 else 'lower'} {_later(h)} "
            f"(95 percent band {low[h]:.1f} to {high[h]:.1f}); no horizon lies further from zero in standard errors. "
            f"The band excludes zero at {outside} of {len(low)} horizons; with no response at all, "
            f"about {0.05 * len(low):.1f} would."
        )

    def caveat(self) -> str:
        """Why the response is a correlation and not a cause."""
        shock, response = self.question.shock, self.question.response
        return (
            f"This is a correlation, not a cause. {shock} and {response} both respond to policy and to the same "
            "news; changes in reserves are announced or scheduled in advance, and rates move on the announcement, "
            f"not when reserves move. What is left of {shock} after its own past is mostly Treasury cash, reverse "
            "repos and bank assets of the week, not a policy experiment. No instrument separates these."
        )


def _amount(size: float, unit: Unit) -> str:
    if unit.dimension == "money":
        currency, scale = unit.label.split()
        return f"{currency} {size:g} {scale}"
    return f"{size:g} {unit.label.removesuffix('s') if size == 1 else unit.label}"


def _later(weeks: int) -> str:
    return "in the same week" if weeks == 0 else f"{weeks} {'week' if weeks == 1 else 'weeks'} later"
