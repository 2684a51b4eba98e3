"""A simulated central bank and money market with known truth: the embedded data of the package.

What an estimator may see leaves through ``Vintages``; what it should find stands in ``Truth``.
"""

from __future__ import annotations

from forecast.data.synthetic.economy import Economy
from forecast.data.synthetic.simulation import Truth, simulate

__all__ = ["Economy", "Truth", "simulate"]
