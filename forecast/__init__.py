"""Scored forecasts of reserve demand, money-market pressure and bond yields from a central bank's balance sheet."""

from __future__ import annotations
