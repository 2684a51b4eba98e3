"""An assessment as one JSON object: every number with its unit in the name of its key, quantiles instead of draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from forecast.answers.ampleness import TOLERANCES, Array, interval, state_of
from forecast.answers.assessment import Answer, Assessment
from forecast.answers.learning import Learning, learnings
from forecast.answers.slope import SlopePerPoint
from forecast.answers.verdict import chances, changes, limits, model_notes, sentence


def ampleness_document(assessment: Assessment) -> dict[str, Any]:
    """The assessment for ``--json``.

    Returns
    -------
    state, sentence, chances    : what all models together say
    spread, data, as_of         : what was asked, and the instant after whose releases nothing was used
    last_week                   : of the last known reserve ratio; the numbers beneath are of that week
    reserve_ratio_percent, bank_assets_usd_bn, reserves_usd_bn
    models                      : one object a model that answered. Intervals are {median, low_68, high_68, low_95, high_95}
                                  or null; ``probability_...`` are shares of draws
    silent                      : models without an answer, and why
    changes, limits, notes      : sentences
    truth                       : of the simulated economy; null for data
    """
    return {
        "state": assessment.state(),
        "sentence": sentence(assessment),
        "chances": chances(assessment),
        "spread": assessment.spread,
        "data": assessment.data,
        "as_of": assessment.as_of.isoformat(),
        "last_week": f"{assessment.last_week:%Y-%m-%d}",
        "reserve_ratio_percent": assessment.ratio,
        "bank_assets_usd_bn": assessment.bank_assets,
        "reserves_usd_bn": assessment.ratio * assessment.bank_assets / 100,
        "models": [_model(answer, assessment) for answer in assessment.answers],
        "silent": [{"model": each.model, "reason": each.reason} for each in assessment.silent],
        "changes": list(changes(assessment)),
        "limits": list(limits(assessment)),
        "notes": list(assessment.notes),
        "truth": _truth(assessment),
    }


def _model(answer: Answer, assessment: Assessment) -> dict[str, Any]:
    told = answer.ampleness
    now = SlopePerPoint(told.slope[:, -1])
    return {
        "model": answer.model,
        "state": told.state(),
        "counted": not assessment.not_counted(answer),
        "last_week": f"{told.weeks[-1]:%Y-%m-%d}",
        "draws_are": told.draws_are,
        "draws": len(told.slope),
        "slope_may_be_positive": told.sign_free,
        "seconds": round(answer.seconds, 2),
        "probability_of_state": told.chances(),
        "slope_bp_per_pp_of_bank_assets": _interval(now.values),
        "slope_bp_per_usd_100bn": _interval(now.per_100bn(assessment.bank_assets).values),
        "probability_slope_below": {f"{c:g}": told.slope_below(c) for c in TOLERANCES},
        "thresholds": list(_thresholds(answer, assessment)),
        "prior_beside_posterior": [_learning(each) for each in learnings(told)],
        "notes": [note for model, note in model_notes(assessment) if model == answer.model],
    }


def _thresholds(answer: Answer, assessment: Assessment) -> Iterator[dict[str, Any]]:
    told, assets = answer.ampleness, assessment.bank_assets
    for c, draws in told.thresholds.items():
        yield {
            "slope_bp_per_pp_of_bank_assets": c,
            "probability_reached": told.reached(c),
            "probability_ratio_below": _number(told.ratio_below(c)),
            "ratio_percent_of_bank_assets": _interval(np.where(draws > 0, draws, np.nan)),
            "distance_usd_bn": _interval(told.distance(c, assets)),
            "reserves_needed_usd_bn": _interval(told.reserves_needed(c, assets)),
        }


def _learning(learnt: Learning) -> dict[str, Any]:
    unit = "bp_per_pp_of_bank_assets" if learnt.tolerance is None else "percent_of_bank_assets"
    return {
        "quantity": "slope_now" if learnt.tolerance is None else f"ratio_at_slope_{learnt.tolerance:g}",
        f"prior_{unit}": _ninety(learnt.prior),
        f"posterior_{unit}": _ninety(learnt.posterior),
        "sd_of_posterior_over_prior": _number(learnt.sd_ratio),
        "learnt_from": learnt.verdict(),
    }


def _truth(assessment: Assessment) -> dict[str, Any] | None:
    truth = assessment.truth
    if truth is None:
        return None
    slope = float(truth.slope.iloc[-1])
    return {
        "state": state_of(slope),
        "slope_bp_per_pp_of_bank_assets": slope,
        "slope_bp_per_usd_100bn": float(SlopePerPoint(np.array(slope)).per_100bn(assessment.bank_assets).values),
        "ratio_percent_of_bank_assets": {f"{c:g}": at if at > 0 else None for c, at in truth.thresholds.items()},
    }


def _interval(draws: Array) -> dict[str, float] | None:
    found = interval(draws)
    return None if found is None else asdict(found)


def _ninety(draws: Array) -> dict[str, float] | None:
    if not len(draws):
        return None
    return dict(zip(("low_90", "median", "high_90"), np.quantile(draws, [0.05, 0.5, 0.95]).tolist(), strict=True))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value
