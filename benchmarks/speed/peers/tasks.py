"""The tasks as a peer's user would write them. Runs in the peers' own environment: nothing of ours is imported here.

    python tasks.py DATA.csv PEER OUT.json

DATA.csv has the columns period (Wednesdays), y and the regressors, whose future is known. Each task is repeated at the last
origins of an expanding window, refitted at each, 13 weeks ahead: "trivial" is the peer's cheapest model, so that
what remains is its harness; "ar4" has four lags and the regressors. OUT.json: task -> seconds, origins, version, path (the
forecast at the last origin).
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

H, LAGS = 13, 4
MANY, FEW = 520, 40  # origins; few where a fit takes tens of milliseconds

Run = Callable[[int], "np.ndarray"]  # number of origins -> path forecast at the last one


def statsforecast(y: pd.Series, X: pd.DataFrame) -> dict[str, tuple[Run, int]]:
    from statsforecast import StatsForecast
    from statsforecast.models import ARIMA, AutoRegressive, Naive

    plain = pd.DataFrame({"unique_id": "y", "ds": y.index, "y": y.to_numpy()})
    full = pd.concat([plain, X.reset_index(drop=True)], axis=1)

    def run(model: object, data: pd.DataFrame) -> Run:
        def at(origins: int) -> np.ndarray:
            # Peers parallelise over series; there is one.
            engine = StatsForecast(models=[model], freq="W-WED", n_jobs=1)
            found = engine.cross_validation(df=data, h=H, n_windows=origins, step_size=1, refit=True)
            return found[found["cutoff"] == found["cutoff"].max()].iloc[:, -1].to_numpy()

        return at

    return {
        "trivial": (run(Naive(), plain), MANY),
        "ar4": (run(AutoRegressive(lags=LAGS), full), FEW),
        "ar4, ARIMA(4,0,0)": (run(ARIMA(order=(LAGS, 0, 0)), full), FEW),
    }


def skforecast(y: pd.Series, X: pd.DataFrame) -> dict[str, tuple[Run, int]]:
    from skforecast.model_selection import TimeSeriesFold, backtesting_forecaster
    from skforecast.recursive import ForecasterRecursive
    from sklearn.dummy import DummyRegressor
    from sklearn.linear_model import LinearRegression

    def run(regressor: object, lags: int, exog: pd.DataFrame | None) -> Run:
        def at(origins: int) -> np.ndarray:
            forecaster = ForecasterRecursive(regressor, lags=lags)
            folds = TimeSeriesFold(
                steps=H,
                initial_train_size=len(y) - H - origins + 1,
                fold_stride=1,
                refit=True,
                fixed_train_size=False,
                allow_incomplete_fold=False,
                verbose=False,
            )
            _, found = backtesting_forecaster(
                forecaster, y, cv=folds, metric="mean_absolute_error", exog=exog, n_jobs=1, show_progress=False
            )
            assert len(found) == origins * H, len(found)
            return found["pred"].to_numpy()[-H:]

        return at

    return {
        "trivial": (run(DummyRegressor(), 1, None), MANY),
        "ar4": (run(LinearRegression(), LAGS, X), MANY),
    }


def darts(y: pd.Series, X: pd.DataFrame) -> dict[str, tuple[Run, int]]:
    from darts import TimeSeries
    from darts.models import LinearRegressionModel, NaiveMean

    series, covariates = TimeSeries.from_series(y), TimeSeries.from_dataframe(X)

    def run(make: Callable[[], object], future: TimeSeries | None) -> Run:
        def at(origins: int) -> np.ndarray:
            found = make().historical_forecasts(
                series,
                future_covariates=future,
                start=len(y) - H - origins + 1,
                start_format="position",
                forecast_horizon=H,
                stride=1,
                retrain=True,
                last_points_only=False,
                verbose=False,
            )
            assert len(found) == origins, len(found)
            return found[-1].values()[:, 0]

        return at

    return {
        "trivial": (run(NaiveMean, None), MANY),
        "ar4": (run(lambda: LinearRegressionModel(lags=LAGS, lags_future_covariates=[0]), covariates), FEW),
    }


def sktime(y: pd.Series, X: pd.DataFrame) -> dict[str, tuple[Run, int]]:
    from sklearn.linear_model import LinearRegression
    from sktime.forecasting.compose import make_reduction
    from sktime.forecasting.model_evaluation import evaluate
    from sktime.forecasting.naive import NaiveForecaster
    from sktime.split import ExpandingWindowSplitter

    def run(forecaster: object, exog: pd.DataFrame | None) -> Run:
        def at(origins: int) -> np.ndarray:
            folds = ExpandingWindowSplitter(
                fh=list(range(1, H + 1)), initial_window=len(y) - H - origins + 1, step_length=1
            )
            found = evaluate(forecaster, cv=folds, y=y, X=exog, return_data=True)
            assert len(found) == origins, len(found)
            return found["y_pred"].iloc[-1].to_numpy()

        return at

    return {
        "trivial": (run(NaiveForecaster(), None), FEW),
        "ar4": (run(make_reduction(LinearRegression(), window_length=LAGS, strategy="recursive"), X), FEW),
    }


def statsmodels(y: pd.Series, X: pd.DataFrame) -> dict[str, tuple[Run, int]]:
    from statsmodels.tsa.ar_model import AutoReg

    def autoregression(origins: int) -> np.ndarray:
        for end in range(len(y) - H - origins + 1, len(y) - H + 1):
            fitted = AutoReg(y.iloc[:end], lags=LAGS, exog=X.iloc[:end]).fit()
            path = fitted.forecast(H, exog=X.iloc[end : end + H])
        return path.to_numpy()

    def arima(origins: int) -> np.ndarray:
        from statsmodels.tsa.arima.model import ARIMA

        for end in range(len(y) - H - origins + 1, len(y) - H + 1):
            fitted = ARIMA(y.iloc[:end], exog=X.iloc[:end], order=(LAGS, 0, 0)).fit()
            path = fitted.forecast(H, exog=X.iloc[end : end + H])
        return path.to_numpy()

    return {"ar4": (autoregression, FEW), "ar4, ARIMA(4,0,0)": (arima, FEW // 4)}


PEERS = {f.__name__: f for f in (statsforecast, skforecast, darts, sktime, statsmodels)}


def measure(run: Run, origins: int) -> dict[str, object]:
    """Seconds of the faster of two runs, after one that compiles."""
    run(2)
    best = float("inf")
    for _ in range(2):
        started = time.perf_counter()
        path = run(origins)
        best = min(best, time.perf_counter() - started)
    return {"seconds": best, "origins": origins, "path": [float(value) for value in path]}


def main(data: str, peer: str, out: str) -> None:
    warnings.simplefilter("ignore")
    table = pd.read_csv(data, index_col="period", parse_dates=True).asfreq("W-WED")
    y, X = table["y"], table.drop(columns="y")
    found: dict[str, object] = {}
    for task, (run, origins) in PEERS[peer](y, X).items():
        try:
            found[task] = {**measure(run, origins), "version": version(peer)}
        except Exception as error:  # noqa: BLE001  whatever goes wrong in a peer is a line of the table
            found[task] = {"reason": f"{type(error).__name__}: {error}"[:300]}
    Path(out).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
