"""Forecasters that a Python user would pick instead, on the splits of `counterpart evaluate`.

Install (CPU is enough; any recent versions):

    python3 -m venv VENV
    VENV/bin/pip install statsforecast lightgbm neuralforecast

Run (OMP_NUM_THREADS=1 keeps the CPU-seconds comparable with ours, which count one thread):

    OMP_NUM_THREADS=1 VENV/bin/python tests/bench/peers.py --data DATA --demo DEMO.csv --ours OURS \
        --out PEERS.json --markdown PEERS.md

DATA holds `ett/ETTh1.csv`, `cascaded_tanks/dataBenchmark.csv`, `cstr_daisy/cstr.dat` and
`wh2009/WienerHammerBenchmark.csv`. DEMO.csv, from `counterpart evaluate --export-demo DEMO.csv`, has a
column per signal and beside it DEMO.json: {"signals": {NAME: {"role": "output" | "control_input" |
"disturbance"}}, "horizon": 64, "shares": [0.6, 0.2, 0.2]}. Without DEMO.csv that set is left out. A
pair of set and peer that is already in PEERS.json is not run again, so a run that was cut goes on.

OURS is the folder of `counterpart evaluate`. Of OURS/SET.json only this is read: a list of rows, or an
object whose "rows" is that list; a row has "forecaster", "windows", "rmse", "mse", "mae", "crps",
"cpu_fit_s", "cpu_forecast_s" (null where unknown). With "origins" (rows where forecasts begin, counted
as below) and "mse_by_origin" it also enters the comparison on common origins.

What is the same for all peers: an origin is the row of the first forecast value, all rows before it are
known, control inputs and disturbances are known ahead. Errors are pooled over targets, origins and
steps; a window is one target at one origin. CRPS is twice the pinball loss over our 21 levels, weighted
as in `score::interval`; a forecaster without quantiles has none. CPU-seconds are of the process, without
imports; choosing by validation and early stopping count as fit.

What a peer is:
- Persistence: the last value. Same figures here and in our table mean same windows.
- AutoARIMA, AutoETS (statsforecast): per target, the newest 1,000 samples, Gaussian bands. AutoARIMA gets
  the known inputs as regressors; its orders and coefficients are found once, before the test part, and
  filtered forward to each origin; `approximation` as R does above period 12. AutoETS knows no inputs and
  is fitted anew at each origin. Both only see every k-th origin (`--slow-origins`).
- LightGBM: squared error, direct, the step ahead is a feature; lags relative to the last value, means of
  older blocks, inputs around the step; early stopping. Learns from a seeded sample of (origin, step).
- NHITS (neuralforecast): its defaults, except 256 windows a step, our 21 quantiles as its loss, at most
  `--max-steps` steps with early stopping, and scaling per window where there are no inputs. Like all
  here, one model for all targets without inputs, else one per target with the other targets' past.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Rows = dict[str, Any]
Span = tuple[int, int]

LEVELS = np.array([0.01, *np.arange(1, 20) / 20, 0.99])
# The standard normal distribution's quantiles at LEVELS, as in `model::network`.
_UPPER = [0.125661, 0.253347, 0.385320, 0.524401, 0.674490, 0.841621, 1.036433, 1.281552, 1.644854, 2.326348]
NORMAL = np.array([-z for z in reversed(_UPPER)] + [0.0] + _UPPER)
NORMAL_90 = 1.281552
SHARES = np.diff(np.concatenate([[0.0], (LEVELS[1:] + LEVELS[:-1]) / 2, [1.0]]))
NEWEST = 1_000
SEED = 1


@dataclass(frozen=True)
class Case:
    """A data set with its split. Signals are in units of their deviation in the training part."""

    name: str
    unit: str
    targets: np.ndarray  # [rows, targets]
    inputs: np.ndarray  # [rows, inputs], known ahead
    scale: np.ndarray  # [targets]: from the units above to those of the scores
    train: Span
    valid: Span
    origins: np.ndarray
    horizon: int
    lookback: int
    season: int = 1

    def groups(self) -> list[list[int]]:
        """Which targets share one learned model."""
        every = range(self.targets.shape[1])
        return [[i] for i in every] if self.inputs.shape[1] else [list(every)]

    def truth(self, origins: np.ndarray) -> np.ndarray:
        """[origins, targets, steps]"""
        return self.targets[origins[:, None] + np.arange(self.horizon)].transpose(0, 2, 1)


@dataclass
class Forecast:
    """What a peer said, in the units of `Case`, and what it cost in CPU-seconds."""

    point: np.ndarray  # [origins, targets, steps]
    quantiles: np.ndarray | None  # [origins, targets, steps, levels]
    fit_s: float = 0.0
    forecast_s: float = 0.0


def standardised(values: np.ndarray, fit: Span) -> tuple[np.ndarray, np.ndarray]:
    mean, deviation = values[slice(*fit)].mean(0), values[slice(*fit)].std(0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    return (values - mean) / deviation, deviation


def etth1(options: argparse.Namespace) -> Case:
    values = pd.read_csv(options.data / "ett/ETTh1.csv").iloc[:14_400, 1:].to_numpy(float)
    targets, _ = standardised(values, (0, 8_640))
    origins = np.arange(11_520, 14_400 - 96 + 1, options.ett_stride)
    return Case("etth1", "train deviations", targets, targets[:, :0], np.ones(7), (0, 8_640), (8_640, 11_520),
                origins, horizon=96, lookback=512, season=24)


def cascaded_tanks(options: argparse.Namespace) -> Case:
    """The test record follows the estimation record; no window crosses the seam but those of AutoARIMA and AutoETS."""
    columns = pd.read_csv(options.data / "cascaded_tanks/dataBenchmark.csv")
    level = np.concatenate([columns["yEst"], columns["yVal"]])[:, None]
    pump = np.concatenate([columns["uEst"], columns["uVal"]])[:, None]
    (targets, deviation), (inputs, _) = standardised(level, (0, 1_024)), standardised(pump, (0, 1_024))
    origins = np.arange(1_024 + 256, 2_048 - 64 + 1, 8)
    return Case("cascaded_tanks", "V", targets, inputs, deviation, (0, 820), (820, 1_024), origins,
                horizon=64, lookback=256)


def cstr(options: argparse.Namespace) -> Case:
    values = np.loadtxt(options.data / "cstr_daisy/cstr.dat")
    (targets, _), (inputs, _) = standardised(values[:, 2:4], (0, 4_500)), standardised(values[:, 1:2], (0, 4_500))
    origins = np.arange(6_000, 7_500 - 64 + 1, 8)
    return Case("cstr", "train deviations", targets, inputs, np.ones(2), (0, 4_500), (4_500, 6_000), origins,
                horizon=64, lookback=256)


def wiener_hammerstein(options: argparse.Namespace) -> Case:
    """Learned from the newest 30,000 of the first 100,000 rows, the last fifth of them for early stopping."""
    columns = pd.read_csv(options.data / "wh2009/WienerHammerBenchmark.csv", usecols=[0, 1]).dropna().to_numpy()
    (inputs, _), (targets, deviation) = (standardised(columns[:, [i]], (0, 100_000)) for i in (0, 1))
    origins = np.arange(188_000 - 78_800 + 50, 188_000 - 64 + 1, 256)
    return Case("wiener_hammerstein", "V", targets, inputs, deviation, (70_000, 94_000), (94_000, 100_000), origins,
                horizon=64, lookback=256)


def demo_plant(options: argparse.Namespace) -> Case:
    roles = json.loads(options.demo.with_suffix(".json").read_text())
    columns = pd.read_csv(options.demo)
    named = {name: signal["role"] for name, signal in roles["signals"].items()}
    outputs = [name for name, role in named.items() if role == "output"]
    known = [name for name, role in named.items() if role in ("control_input", "disturbance")]
    horizon, shares = roles.get("horizon", 64), roles.get("shares", [0.6, 0.2, 0.2])
    train, valid = (int(len(columns) * sum(shares[:n])) for n in (1, 2))
    targets, _ = standardised(columns[outputs].to_numpy(float), (0, train))
    inputs, _ = standardised(columns[known].to_numpy(float), (0, train))
    origins = np.arange(valid, len(columns) - horizon + 1, 8)
    return Case("demo_plant", "train deviations", targets, inputs, np.ones(len(outputs)), (0, train), (train, valid),
                origins, horizon, lookback=256)


def persistence(case: Case, origins: np.ndarray, _: argparse.Namespace) -> Forecast:
    return Forecast(np.repeat(case.targets[origins - 1][..., None], case.horizon, axis=2), None)


def of_bands(answer: Rows) -> tuple[np.ndarray, np.ndarray]:
    """The middle and our levels of a Gaussian that has the answer's 80 % band."""
    low, middle, high = (np.asarray(answer[key]) for key in ("lo-80", "mean", "hi-80"))
    return middle, middle[:, None] + ((high - low) / (2 * NORMAL_90))[:, None] * NORMAL


def auto_arima(case: Case, origins: np.ndarray, _: argparse.Namespace) -> Forecast:
    from statsforecast.models import AutoARIMA

    forecast = empty(case, origins)
    for target in range(case.targets.shape[1]):
        y, newest = case.targets[:, target], slice(origins[0] - NEWEST, origins[0])
        moving = case.inputs[newest].std(0) > 0
        regressors = case.inputs[:, moving] if moving.any() else None
        part = lambda rows: None if regressors is None else regressors[rows]  # noqa: E731
        started = time.process_time()
        model = AutoARIMA(season_length=case.season, approximation=case.season > 12).fit(y[newest], part(newest))
        fitted = time.process_time()
        for i, origin in enumerate(origins):
            past, future = slice(origin - NEWEST, origin), slice(origin, origin + case.horizon)
            answer = model.forward(y[past], case.horizon, part(past), part(future), level=[80])
            forecast.point[i, target], forecast.quantiles[i, target] = of_bands(answer)
        forecast.fit_s += fitted - started
        forecast.forecast_s += time.process_time() - fitted
    return forecast


def auto_ets(case: Case, origins: np.ndarray, _: argparse.Namespace) -> Forecast:
    from statsforecast.models import AutoETS

    forecast = empty(case, origins)
    for target in range(case.targets.shape[1]):
        for i, origin in enumerate(origins):
            started = time.process_time()
            model = AutoETS(season_length=case.season).fit(case.targets[origin - NEWEST:origin, target])
            fitted = time.process_time()
            answer = model.predict(case.horizon, level=[80])
            forecast.point[i, target], forecast.quantiles[i, target] = of_bands(answer)
            forecast.fit_s += fitted - started
            forecast.forecast_s += time.process_time() - fitted
    return forecast


def empty(case: Case, origins: np.ndarray) -> Forecast:
    shape = (len(origins), case.targets.shape[1], case.horizon)
    return Forecast(np.zeros(shape), np.zeros((*shape, len(LEVELS))))


def blocks(sums: np.ndarray, origins: np.ndarray, lookback: int) -> np.ndarray:
    """Means of the blocks of 16 rows from 32 rows before each origin back to the look-back."""
    ends = origins[:, None] - np.arange(32, lookback - 15, 16)
    return (sums[ends] - sums[ends - 16]) / 16


def features(case: Case, target: int, origins: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """A row for each pair of origin and step ahead (0 is the origin itself)."""
    at, y = origins + steps, case.targets[:, target]
    last = y[origins - 1]
    running = lambda x: np.concatenate([[0.0], np.cumsum(x)])  # noqa: E731
    columns = [np.full((len(at), 1), target), steps[:, None], last[:, None]]
    columns += [y[origins[:, None] - np.arange(2, 33)] - last[:, None]]
    columns += [blocks(running(y), origins, case.lookback) - last[:, None]]
    if case.season > 1:
        known = at - case.season * (steps // case.season + 1)
        columns += [(at % case.season)[:, None], y[known[:, None] - case.season * np.arange(7)] - last[:, None]]
    for u in case.inputs.T:
        sums = running(u)
        ahead = (sums[at + 1] - sums[origins]) / (steps + 1)
        columns += [u[at[:, None] - np.arange(32)], ahead[:, None], blocks(sums, origins, case.lookback)]
    if case.inputs.shape[1]:
        columns += [np.delete(case.targets[origins - 1], target, axis=1)]
    return np.concatenate(columns, axis=1).astype(np.float32)


def sampled(case: Case, group: list[int], span: Span, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Features and changes since the last value, of `count` pairs of origin and step within the span."""
    random, parts = np.random.default_rng(SEED), []
    for target in group:
        origins = random.integers(span[0], span[1] - case.horizon + 1, count // len(group))
        steps = random.integers(0, case.horizon, len(origins))
        y = case.targets[:, target]
        parts.append((features(case, target, origins, steps), y[origins + steps] - y[origins - 1]))
    return np.concatenate([x for x, _ in parts]), np.concatenate([change for _, change in parts])


def lightgbm(case: Case, origins: np.ndarray, options: argparse.Namespace) -> Forecast:
    import lightgbm as library

    forecast = Forecast(np.zeros((len(origins), case.targets.shape[1], case.horizon)), None)
    for group in case.groups():
        started = time.process_time()
        train = sampled(case, group, (case.train[0] + case.lookback, case.train[1]), options.lightgbm_rows)
        valid = sampled(case, group, case.valid, options.lightgbm_rows // 4)
        settings = {"objective": "l2", "learning_rate": 0.05, "num_leaves": 63, "num_threads": 1, "seed": SEED, "verbose": -1}
        model = library.train(settings, library.Dataset(*train), 1_000, valid_sets=[library.Dataset(*valid)],
                              callbacks=[library.early_stopping(50, verbose=False)])
        fitted = time.process_time()
        for target in group:
            for some in np.array_split(np.arange(len(origins)), max(1, len(origins) // 64)):
                pairs = np.repeat(origins[some], case.horizon), np.tile(np.arange(case.horizon), len(some))
                change = model.predict(features(case, target, *pairs), num_threads=1)
                level = case.targets[origins[some] - 1, target]
                forecast.point[some, target] = level[:, None] + change.reshape(len(some), case.horizon)
        forecast.fit_s += fitted - started
        forecast.forecast_s += time.process_time() - fitted
    return forecast


def series(case: Case, group: list[int], origins: np.ndarray, offsets: np.ndarray) -> pd.DataFrame:
    """neuralforecast's long table: one series for each target and origin, of the rows at the offsets."""
    rows, parts = (origins[:, None] + offsets).ravel(), []
    for place, target in enumerate(group):
        first = place * len(origins)
        part = {"unique_id": np.repeat(np.arange(first, first + len(origins)), len(offsets)), "ds": rows}
        part |= {"y": case.targets[rows, target]}
        part |= {f"u{i}": u[rows] for i, u in enumerate(case.inputs.T)}
        part |= {f"y{i}": case.targets[rows, i] for i in others(case, group)}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def others(case: Case, group: list[int]) -> list[int]:
    return [i for i in range(case.targets.shape[1]) if i not in group]


def nhits(case: Case, origins: np.ndarray, options: argparse.Namespace) -> Forecast:
    import torch
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MQLoss
    from neuralforecast.models import NHITS

    torch.set_num_threads(1)
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    forecast, known = empty(case, origins), [f"u{i}" for i in range(case.inputs.shape[1])]
    for group in case.groups():
        started = time.process_time()
        model = NHITS(
            h=case.horizon, input_size=case.lookback, futr_exog_list=known or None,
            hist_exog_list=[f"y{i}" for i in others(case, group)] or None, loss=MQLoss(quantiles=LEVELS.tolist()),
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
        forecast.fit_s += fitted - started
        forecast.forecast_s += time.process_time() - fitted
    forecast.point = forecast.quantiles[..., len(LEVELS) // 2]
    return forecast


CASES: dict[str, Callable[[argparse.Namespace], Case]] = {
    f.__name__: f for f in (etth1, cascaded_tanks, cstr, wiener_hammerstein, demo_plant)
}
PEERS: dict[str, Callable[[Case, np.ndarray, argparse.Namespace], Forecast]] = {
    "Persistence": persistence, "AutoARIMA": auto_arima, "AutoETS": auto_ets, "LightGBM": lightgbm, "NHITS": nhits,
}
SLOW, NEURAL = ("AutoARIMA", "AutoETS"), "NHITS"


def scored(case: Case, origins: np.ndarray, forecast: Forecast) -> Rows:
    """The row of the table, with the squared error of each origin for comparisons on fewer of them."""
    scale = case.scale[:, None]
    truth = case.truth(origins) * scale
    error = forecast.point * scale - truth
    crps = None
    if forecast.quantiles is not None:
        above = truth[..., None] - forecast.quantiles * scale[..., None]
        crps = float(2 * (np.maximum(LEVELS * above, (LEVELS - 1) * above) @ SHARES).mean())
    mse = float((error**2).mean())
    return {"windows": error.shape[0] * error.shape[1], "rmse": mse**0.5, "mse": mse, "mae": float(abs(error).mean()),
            "crps": crps, "cpu_fit_s": forecast.fit_s, "cpu_forecast_s": forecast.forecast_s,
            "origins": origins.tolist(), "mse_by_origin": (error**2).mean((1, 2)).tolist()}


def run(options: argparse.Namespace) -> list[Rows]:
    """Every set with every peer; what is in the file already stays as it is."""
    rows: list[Rows] = json.loads(options.out.read_text()) if options.out.exists() else []
    done = {(row["set"], row["forecaster"]) for row in rows}
    for name in options.sets:
        if name == "demo_plant" and options.demo is None:
            continue
        case = CASES[name](options)
        for peer in (peer for peer in options.peers if (name, peer) not in done):
            stride = -(-len(case.origins) // options.slow_origins) if peer in SLOW else 1
            origins = case.origins[::stride]
            row = scored(case, origins, PEERS[peer](case, origins, options))
            rows.append({"set": name, "unit": case.unit, "forecaster": peer} | row)
            print(f"{name} {peer}: RMSE {row['rmse']:.4f}, fit {row['cpu_fit_s']:.1f} CPU-s", flush=True)
            unfinished = options.out.with_suffix(".part")
            unfinished.write_text(json.dumps(rows))
            unfinished.replace(options.out)
    return rows


def ours(folder: Path | None, name: str) -> list[Rows]:
    file = folder / f"{name}.json" if folder else None
    if file is None or not file.exists():
        return []
    content = json.loads(file.read_text())
    rows = content["rows"] if isinstance(content, dict) else content
    return [row | {"set": name, "forecaster": f"ours: {row['forecaster']}"} for row in rows]


def on_common(rows: list[Rows]) -> tuple[int, dict[str, float]]:
    """How many origins all rows that know theirs share, and the RMSE of each on them."""
    known = {row["forecaster"]: dict(zip(row["origins"], row["mse_by_origin"])) for row in rows if row.get("mse_by_origin")}
    common = set.intersection(*(set(errors) for errors in known.values())) if known else set()
    mean = lambda errors: float(np.mean([errors[origin] for origin in common])) ** 0.5  # noqa: E731
    return len(common), {name: mean(errors) for name, errors in known.items()} if common else {}


def table(name: str, rows: list[Rows], mine: list[Rows]) -> Iterator[str]:
    """A Markdown table of one set."""
    show = lambda value, digits: "–" if value is None else f"{value:,.{digits}f}"  # noqa: E731
    common, shared = on_common(rows + mine)
    unit = rows[0]["unit"] if rows else "as in its own report"
    yield f"\n### {name} ({unit})\n"
    yield f"| forecaster | windows | RMSE | MSE | MAE | CRPS | RMSE, {common} common origins | fit CPU-s | forecast CPU-s |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for row in rows + mine:
        cells = [show(row.get(key), 4) for key in ("rmse", "mse", "mae", "crps")] + [show(shared.get(row["forecaster"]), 4)]
        cells += [show(row.get(key), 2) for key in ("cpu_fit_s", "cpu_forecast_s")]
        yield f"| {row['forecaster']} | {show(row.get('windows'), 0)} | {' | '.join(cells)} |"


def verdict(rows: list[Rows], mine: list[Rows], row_name: str) -> str | None:
    """Our served row against the best peer and the neural peer's training; on common origins where they are known."""
    answer = next((row for row in mine if row["forecaster"] == f"ours: {row_name}"), None)
    if answer is None or not rows:
        return None
    _, shared = on_common([*rows, answer])
    best = min((shared.get(row["forecaster"], row["rmse"]), row["forecaster"]) for row in rows)
    here = shared.get(answer["forecaster"], answer["rmse"])
    line = f"\nOurs ({row_name}) {here:.4f}, best peer {best[1]} {best[0]:.4f}: ratio {here / best[0]:.3f}."
    neural = next((row for row in rows if row["forecaster"] == NEURAL), None)
    if neural and answer.get("cpu_fit_s") is not None:
        line += f" Training {answer['cpu_fit_s']:.1f} CPU-s, {NEURAL} {neural['cpu_fit_s']:.1f} CPU-s: 1/{neural['cpu_fit_s'] / max(answer['cpu_fit_s'], 1e-3):.1f}."
    return line


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--demo", type=Path, help="CSV of the demo plant, its roles beside it")
    parser.add_argument("--ours", type=Path, help="folder of `counterpart evaluate`")
    parser.add_argument("--our-row", default="fine-tuned", help="which of our rows the verdict is about")
    parser.add_argument("--out", type=Path, default=Path("peers.json"), help="results so far; is gone on with")
    parser.add_argument("--markdown", type=Path, help="also write the tables here")
    parser.add_argument("--sets", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--ett-stride", type=int, default=4, help="rows between origins on ETTh1")
    parser.add_argument("--slow-origins", type=int, default=45, help="at most so many for AutoARIMA and AutoETS")
    parser.add_argument("--lightgbm-rows", type=int, default=30_000, help="training rows of a model")
    parser.add_argument("--max-steps", type=int, default=1_000, help="training steps of NHITS")
    return parser.parse_args()


def main() -> None:
    warnings.filterwarnings("ignore")
    options = arguments()
    rows, lines = run(options), []
    for name in options.sets:
        peers, mine = [row for row in rows if row["set"] == name], ours(options.ours, name)
        if peers or mine:
            lines += [*table(name, peers, mine), verdict(peers, mine, options.our_row) or ""]
    print("\n".join(lines))
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
