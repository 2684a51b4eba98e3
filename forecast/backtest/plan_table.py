"""TOML tables of a plan: every key is asked for by name and kind, and keys nobody asked for are typos."""

from __future__ import annotations

import difflib
from typing import Any, get_args

import pandas as pd

from forecast.errors import PlanError


def day_of(text: object, where: str) -> pd.Timestamp:
    """A day written as 2015-01-01; ``where`` it stands goes into the error."""
    try:
        return pd.Timestamp(str(text)).tz_localize(None).normalize()
    except ValueError as error:
        raise PlanError(f"{where} = {text!r} is not a day such as 2015-01-01.") from error


class PlanTable:
    """A TOML table that knows where it stands and which of its keys were read."""

    def __init__(self, raw: dict[str, Any], where: str) -> None:
        self.raw, self.where = raw, where
        self._read: list[str] = []

    def _get(self, key: str, default: Any) -> Any:
        self._read.append(key)
        if key in self.raw:
            return self.raw[key]
        if default is None:
            close = difflib.get_close_matches(key, self.raw, n=1)
            hint = f" Is {close[0]!r} a typo of it?" if close else ""
            raise PlanError(f"{self.where}: {key!r} is missing.{hint}")
        return default

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str):
            raise PlanError(f"{self.where}: {key} = {value!r}; give text in quotes.")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._get(key, None)
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            raise PlanError(f"{self.where}: {key} = {value!r}; give a list of names in quotes.")
        return tuple(value)

    def day(self, key: str) -> pd.Timestamp:
        return day_of(self._get(key, None), f"{self.where}: {key}")

    def integer(self, key: str, default: int, *, least: int = 1) -> int:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise PlanError(f"{self.where}: {key} = {value!r}; give a whole number of at least {least}.")
        return value

    def integers(self, key: str, default: tuple[int, ...]) -> tuple[int, ...]:
        value = self._get(key, list(default))
        good = isinstance(value, list) and value and all(type(item) is int and item > 0 for item in value)
        if not good or value != sorted(set(value)):
            raise PlanError(f"{self.where}: {key} = {value!r}; give rising whole numbers such as [1, 4, 13].")
        return tuple(value)

    def choice(self, key: str, allowed: Any, default: str) -> Any:
        value = self._get(key, default)
        options = get_args(allowed.__value__)
        if value not in options:
            raise PlanError(f"{self.where}: {key} = {value!r}; use one of {', '.join(map(repr, options))}.")
        return value

    def choices(self, key: str, allowed: Any, default: tuple[str, ...]) -> tuple[Any, ...]:
        values = self._get(key, list(default))
        if not isinstance(values, list) or not values:
            raise PlanError(f"{self.where}: {key} = {values!r}; give a list.")
        return tuple(PlanTable({key: value}, self.where).choice(key, allowed, "") for value in values)

    def table(self, key: str, *, required: bool = False) -> PlanTable:
        value = self._get(key, None if required else {})
        if not isinstance(value, dict):
            raise PlanError(f"{self.where}: {key} = {value!r}; make it a table, [{key}].")
        return PlanTable(value, f"{self.where} [{key}]")

    def rest(self) -> dict[str, Any]:
        """Everything that was not read by name."""
        unread = {key: value for key, value in self.raw.items() if key not in self._read}
        self._read.extend(unread)
        return unread

    def done(self) -> None:
        """Refuse keys nobody asked for: they are typos."""
        for key in self.raw:
            if key not in self._read:
                close = difflib.get_close_matches(key, self._read, n=1)
                hint = f"Did you mean {close[0]!r}?" if close else f"Known keys: {', '.join(sorted(self._read))}."
                raise PlanError(f"{self.where}: unknown key {key!r}. {hint}")
