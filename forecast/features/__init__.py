"""Features by the statement or market they come from. Importing this package registers them all."""

from forecast.features import (
    assets,
    calendar_effects,
    liabilities,
    macro,
    money_market,
    private_debt,
    reserves,
    term_structure,
    treasury_supply,
)
from forecast.features.feature_set import Design, FeatureSet

__all__ = [
    "Design",
    "FeatureSet",
    "assets",
    "calendar_effects",
    "liabilities",
    "macro",
    "money_market",
    "private_debt",
    "reserves",
    "term_structure",
    "treasury_supply",
]
