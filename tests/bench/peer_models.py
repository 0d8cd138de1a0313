"""The peers of `peers.py`. Each takes a case, the origins to forecast from and the options.

Libraries are imported where they are used, before the clock starts; CPU-seconds are of the whole process.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from peer_sets import Case, Span

# As in `model::network`.
LEVELS = np.array([0.01, *np.arange(1, 20) / 20, 0.99])
_UPPER = [0.125661, 0.253347, 0.385320, 0.524401, 0.674490, 0.841621, 1.036433, 1.281552, 1.644854, 2.326348]
# Quantiles of the standard normal distribution at LEVELS, and at 90 %.
NORMAL = np.array([-z for z in reversed(_UPPER)] + [0.0] + _UPPER)
NORMAL_90 = _UPPER[7]
# Newest samples that AutoARIMA and AutoETS see.
NEWEST = 1_000
SEED = 1


@dataclass
class Forecast:
    """What a peer said, in the units of `Case`, and what it cost in CPU-seconds."""

    point: np.ndarray  # [origins, targets, steps]
    quantiles: np.ndarray | None = None  # [origins, targets, steps, levels]
    fit_s: float = 0.0
    forecast_s: float = 0.0

    @classmethod
    def empty(cls, case: Case, origins: np.ndarray, banded: bool) -> Forecast:
        shape = (len(origins), case.targets.shape[1], case.horizon)
        return cls(np.zeros(shape), np.zeros((*shape, len(LEVELS))) if banded else None)

    def spent(self, started: float, fitted: float) -> None:
        self.fit_s += fitted - started
        self.forecast_s += time.process_time() - fitted


def persistence(case: Case, origins: np.ndarray, _: argparse.Namespace) -> Forecast:
    return Forecast(np.repeat(case.known()[origins - 1][..., None], case.horizon, axis=2))


def of_band(answer: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The middle, and our levels of a Gaussian that has the answer's 80 % band."""
    low, middle, high = (np.asarray(answer[key]) for key in ("lo-80", "mean", "hi-80"))
    return middle, middle[:, None] + ((high - low) / (2 * NORMAL_90))[:, None] * NORMAL


def auto_arima(case: Case, origins: np.ndarray, _: argparse.Namespace) -> Forecast:
    from statsforecast.models import AutoARIMA

    forecast = Forecast.empty(case, origins, banded=True)
    newest = slice(origins[0] - NEWEST, origins[0])
    # A regressor that does not move is refused.
    moving = case.inputs[newest].std(0) > 0
    inputs = lambda rows: case.inputs[rows][:, moving] if moving.any() else None  # noqa: E731
    for target, y in enumerate(case.known().T):
        started = time.process_time()
        model = AutoARIMA(season_length=case.season, approximation=case.season > 12).fit(y[newest], inputs(newest))
        fitted = time.process_time()
        for i, origin in enumerate(origins):
            past, future = slice(origin - NEWEST, origin), slice(origin, origin + case.horizon)
            answer = model.forward(y[past], case.horizon, inputs(past), inputs(future), level=[80])
            forecast.point[i, target], forecast.quantiles[i, target] = of_band(answer)
        forecast.spent(started, fitted)
    return forecast


def auto_ets(case: Case, origins: np.ndarray, _: argparse.Namespace) -> Forecast:
    from statsforecast.models import AutoETS

    forecast = Forecast.empty(case, origins, banded=True)
    for target, y in enumerate(case.known().T):
        for i, origin in enumerate(origins):
            started = time.process_time()
            model = AutoETS(season_length=case.season).fit(y[origin - NEWEST:origin])
            fitted = time.process_time()
            answer = model.predict(case.horizon, level=[80])
            forecast.point[i, target], forecast.quantiles[i, target] = of_band(answer)
            forecast.spent(started, fitted)
    return forecast


def running(values: np.ndarray) -> np.ndarray:
    """Sums of the values before each row."""
    return np.concatenate([[0.0], np.cumsum(values)])


def blocks(sums: np.ndarray, origins: np.ndarray, lookback: int) -> np.ndarray:
    """Means of blocks of 16 rows, from 32 rows before each origin back to the look-back."""
    ends = origins[:, None] - np.arange(32, lookback - 15, 16)
    return (sums[ends] - sums[ends - 16]) / 16


def features(case: Case, known: np.ndarray, target: int, origins: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """A row for each pair of origin and step ahead; step 0 is the origin itself."""
    at, y = origins + steps, known[:, target]
    last = y[origins - 1][:, None]
    columns = [np.full_like(last, target), steps[:, None], last]
    columns += [y[origins[:, None] - np.arange(2, 33)] - last]
    columns += [blocks(running(y), origins, case.lookback) - last]
    if case.season > 1:
        same = at - case.season * (steps // case.season + 1)
        columns += [(at % case.season)[:, None], y[same[:, None] - case.season * np.arange(7)] - last]
    for u in case.inputs.T:
        sums = running(u)
        ahead = (sums[at + 1] - sums[origins]) / (steps + 1)
        columns += [u[at[:, None] - np.arange(32)], ahead[:, None], blocks(sums, origins, case.lookback)]
    if case.inputs.shape[1]:
        columns += [known[origins - 1][:, case.others([target])]]
    return np.concatenate(columns, axis=1).astype(np.float32)


def sampled(case: Case, group: list[int], rows: Span, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Features, and changes since the last value, of `count` pairs of origin and step within the rows."""
    random, known, parts = np.random.default_rng(SEED), case.known(), []
    for target in group:
        origins = random.integers(rows[0], rows[1] - case.horizon + 1, count // len(group))
        steps = random.integers(0, case.horizon, len(origins))
        change = case.targets[origins + steps, target] - known[origins - 1, target]
        there = np.isfinite(change)
        parts.append((features(case, known, target, origins[there], steps[there]), change[there]))
    return np.concatenate([x for x, _ in parts]), np.concatenate([change for _, change in parts])


def light_gbm(case: Case, origins: np.ndarray, options: argparse.Namespace) -> Forecast:
    import lightgbm

    settings = {"objective": "l2", "learning_rate": 0.05, "num_leaves": 63, "num_threads": 1, "seed": SEED}
    forecast, known = Forecast.empty(case, origins, banded=False), case.known()
    for group in case.groups():
        started = time.process_time()
        train = sampled(case, group, (case.train[0] + case.lookback, case.train[1]), options.lightgbm_rows)
        valid = sampled(case, group, case.valid, options.lightgbm_rows // 4)
        model = lightgbm.train(settings | {"verbose": -1}, lightgbm.Dataset(*train), num_boost_round=1_000,
                               valid_sets=[lightgbm.Dataset(*valid)],
                               callbacks=[lightgbm.early_stopping(50, verbose=False)])
        fitted = time.process_time()
        for target in group:
            for some in np.array_split(np.arange(len(origins)), max(1, len(origins) // 64)):
                pairs = np.repeat(origins[some], case.horizon), np.tile(np.arange(case.horizon), len(some))
                change = model.predict(features(case, known, target, *pairs), num_threads=1)
                last = known[origins[some] - 1, target]
                forecast.point[some, target] = last[:, None] + change.reshape(len(some), case.horizon)
        forecast.spent(started, fitted)
    return forecast


def series(case: Case, group: list[int], origins: np.ndarray, offsets: np.ndarray) -> pd.DataFrame:
    """neuralforecast's long table: for each target and origin one series, of the rows at the offsets."""
    rows, known, parts = (origins[:, None] + offsets).ravel(), case.known(), []
    for place, target in enumerate(group):
        first = place * len(origins)
        part = {"unique_id": np.repeat(np.arange(first, first + len(origins)), len(offsets)), "ds": rows}
        part |= {"y": known[rows, target]}
        part |= {f"u{i}": u[rows] for i, u in enumerate(case.inputs.T)}
        part |= {f"y{i}": known[rows, i] for i in case.others(group)}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def nhits(case: Case, origins: np.ndarray, options: argparse.Namespace) -> Forecast:
    import torch
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MQLoss
    from neuralforecast.models import NHITS

    torch.set_num_threads(1)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    forecast, known = Forecast.empty(case, origins, banded=True), [f"u{i}" for i in range(case.inputs.shape[1])]
    for group in case.groups():
        started = time.process_time()
        model = NHITS(
            h=case.horizon, input_size=case.lookback, futr_exog_list=known or None,
            hist_exog_list=[f"y{i}" for i in case.others(group)] or None, loss=MQLoss(quantiles=LEVELS.tolist()),
            max_steps=options.max_steps, val_check_steps=50, early_stop_patience_steps=4, windows_batch_size=256,
            scaler_type="identity" if known else "standard", random_seed=SEED, accelerator="cpu",
            logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
        learner = NeuralForecast(models=[model], freq=1)
        past = series(case, group, np.array([case.train[0]]), np.arange(case.valid[1] - case.train[0]))
        learner.fit(past, val_size=case.valid[1] - case.valid[0])
        fitted = time.process_time()
        context = series(case, group, origins, np.arange(-case.lookback, 0))
        future = series(case, group, origins, np.arange(case.horizon))[["unique_id", "ds", *known]]
        answer = learner.predict(context, futr_df=future).sort_values(["unique_id", "ds"])
        levels = answer[[name for name in answer if name.startswith("NHITS")]].to_numpy()
        shape = (len(group), len(origins), case.horizon, len(LEVELS))
        forecast.quantiles[:, group] = np.sort(levels.reshape(shape), axis=-1).transpose(1, 0, 2, 3)
        forecast.spent(started, fitted)
    forecast.point = forecast.quantiles[..., len(LEVELS) // 2]
    return forecast


PEERS: dict[str, Callable[[Case, np.ndarray, argparse.Namespace], Forecast]] = {
    "Persistence": persistence, "AutoARIMA": auto_arima, "AutoETS": auto_ets, "LightGBM": light_gbm, "NHITS": nhits,
}
# These cost too much where there is a season.
SLOW = ("AutoARIMA", "AutoETS")
NEURAL = "NHITS"
