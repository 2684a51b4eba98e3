"""Do a model's draws see the future? The cell of a backtest, fitted and drawn on poisoned releases.

for leak in check_model(MyModel(), ("effr_iorb", "sofr_iorb"), vintages, origins):
    print(leak)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd

from forecast.backtest.plan import BacktestPlan, Conditioning, ModelEntry
from forecast.backtest.replay import CellRunner, Replay
from forecast.checks.lookahead import POISONS, Leak, Pipeline, Poison, check_pipeline
from forecast.data.vintages import Instant, Vintages
from forecast.errors import UsageError
from forecast.features.feature_set import FeatureSet
from forecast.model import Model


def check_model(
    model: Model,
    targets: Sequence[str],
    vintages: Vintages,
    origins: Iterable[Instant],
    *,
    conditioning: Conditioning = "none",
    weeks: int = 13,
    n_draws: int = 100,
    hows: Sequence[Poison] = POISONS,
    seed: int = 0,
) -> list[Leak]:
    """Fit and draw at each origin with later releases poisoned: no draw may change by a bit.

    Parameters
    ----------
    model        : as in a plan
    targets      : what a plan would ask for; the model is asked for those known for two years
    vintages     : every release
    origins      : instants, see :func:`forecast.checks.lookahead.eves`
    conditioning : "realised" gives the model the paths that came true, the same whatever is poisoned
    weeks        : reserve weeks drawn after each origin
    n_draws      : draws of each

    Returns
    -------
    list of leaks by target, empty if the future is invisible

    Raises
    ------
    UsageError : nothing was released after an origin, or the model does not forecast there on the clean releases
    """
    realised = vintages if conditioning == "realised" else None
    run = draws_of(lambda _: model, targets, realised=realised, weeks=weeks, n_draws=n_draws)
    return check_pipeline(run, vintages, origins, hows=hows, seed=seed)


def draws_of(
    prepare: Callable[[Vintages], Model],
    targets: Sequence[str],
    *,
    realised: Vintages | None = None,
    weeks: int = 13,
    n_draws: int = 100,
) -> Pipeline:
    """The draws of a backtest's cell as a pipeline: one row a draw and week, one column a target.

    Parameters
    ----------
    prepare  : makes the model from whatever it is tuned on; run again on all poisoned releases
    realised : releases from which the paths of what the model needs are taken; None gives it no scenario
    """

    def run(vintages: Vintages, origin: pd.Timestamp) -> pd.DataFrame:
        from threadpoolctl import threadpool_limits

        # As in a backtest's workers: how many threads share a sum decides its last bit.
        with threadpool_limits(1):
            model = prepare(vintages)
            entry = ModelEntry(model.name, model.name)
            plan = BacktestPlan(
                "check", tuple(targets), (entry,), model.name, (origin,), horizons=(weeks,), n_draws=n_draws
            )
            return _draws(model, plan, vintages, realised)

    return run


def _draws(model: Model, plan: BacktestPlan, vintages: Vintages, realised: Vintages | None) -> pd.DataFrame:
    (entry,), (origin,), (weeks,) = plan.models, plan.origins, plan.horizons
    full = FeatureSet(plan.targets, model.features).build(vintages.as_of(origin), ahead=weeks)
    paths = FeatureSet(plan.targets, model.needs).build(realised.final()) if realised else full
    replay = Replay(CellRunner(plan, {entry.label: model}, paths))
    (draft,) = replay.drafts(origin, full, [(entry, "realised" if realised else "none")])
    if draft.forecast is None:
        why = draft.cell.reason or "no target is known for two years"
        raise UsageError(f"{model.name!r} does not forecast at {origin:%Y-%m-%d %H:%M}: {why}")
    targets = list(draft.forecast.targets)
    values = draft.forecast.values.reshape(-1, len(targets))
    return pd.DataFrame(values, index=np.tile(draft.forecast.periods, plan.n_draws), columns=targets)
