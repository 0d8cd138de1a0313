"""Forecasters that a Python user would pick instead, on the windows of `counterpart evaluate`.

Install (CPU is enough):

    python3 -m venv VENV
    VENV/bin/pip install statsforecast lightgbm neuralforecast

Run, with one thread for what counts CPU-seconds:

    counterpart evaluate --export-demo DEMO.csv
    counterpart evaluate --data DATA --out OURS
    OMP_NUM_THREADS=1 VENV/bin/python tests/bench/peers.py --data DATA --demo DEMO.csv --ours OURS \
        --out PEERS.json --markdown PEERS.md

DATA is the data folder of `counterpart evaluate`; without DEMO.csv (its roles beside it in
DEMO.roles.json) that set is left out. A pair of set and peer that is already in PEERS.json is not run
again, so that a run that was cut goes on. OURS/SET.json is read as evaluate writes it: of "runs" the
"forecaster", "seed", "fit_cpu_s", "forecast_cpu_s" and of their "figures" the "windows", "rmse", "mse",
"mae" and "crps"; the mean over seeds is shown. `--stride` and `--max-windows` must be those of OURS.

The same for all: an origin is the row of the first forecast value, all rows before it are known, control
inputs and disturbances are known ahead. A window is one origin with all its targets. Squared and absolute
errors are the mean over targets, RMSE its root; CRPS is twice the pinball loss over our 21 levels, weighted
as in `score::interval`; a peer without quantiles has none. CPU-seconds are of the process, without
imports; early stopping counts as fit; forecasts are per window, as in our table.

What a peer is:
- Persistence: the last value. A difference to our row of that name says that the windows differ.
- AutoARIMA (statsforecast): the known inputs as regressors; orders and coefficients are found once for each
  target, on the newest 1,000 samples before the test part, then filtered over the newest 1,000 before each
  origin; `approximation` above period 12, as R does. Gaussian bands.
- AutoETS (statsforecast): no inputs; fitted anew on the newest 1,000 samples before each origin.
  Where there is a season, both get every k-th origin only (`--slow-origins`); the column of common origins
  compares the peers on these.
- LightGBM: squared error, direct, the step ahead is a feature; lags relative to the last value, means of older
  blocks, inputs around the step and their mean up to it; early stopping. It learns from a seeded sample of
  pairs of origin and step (`--lightgbm-rows`).
- NHITS (neuralforecast): its defaults, but 256 windows a step, our 21 quantiles as its loss (the median is
  its forecast), at most `--max-steps` steps with early stopping (patience 4 checks of 50 steps), and scaling
  per window where there are no inputs. Look-back 512 on ETTh1, else 256.
The last two have one model for all targets where there are no inputs, else one for each target, which also
sees the other targets' past.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from peer_models import LEVELS, NEURAL, PEERS, SLOW, Forecast
from peer_sets import CASES, Case, available

Row = dict[str, Any]

# What each of LEVELS stands for, as in `score::interval`.
SHARES = np.diff(np.concatenate([[0.0], (LEVELS[1:] + LEVELS[:-1]) / 2, [1.0]]))
FIGURES = ("rmse", "mse", "mae", "crps")


def mean(values: np.ndarray) -> float:
    """Over targets, of each target's mean over what was measured: [origins, targets, steps]."""
    return float(np.nanmean(values, axis=(0, 2)).mean())


def scored(case: Case, origins: np.ndarray, forecast: Forecast) -> Row:
    """A row of the table, with the squared error of each origin for comparisons on fewer of them."""
    scale = case.scale[:, None]
    truth = case.truth(origins) * scale
    error = np.where(np.isfinite(forecast.point), forecast.point * scale, np.inf) - truth
    crps = None
    if forecast.quantiles is not None:
        above = truth[..., None] - forecast.quantiles * scale[..., None]
        crps = mean(2 * np.maximum(LEVELS * above, (LEVELS - 1) * above) @ SHARES)
    mse = mean(error**2)
    return {"windows": len(origins), "rmse": mse**0.5, "mse": mse, "mae": mean(abs(error)), "crps": crps,
            "fit_cpu_s": forecast.fit_s, "forecast_cpu_s": forecast.forecast_s / len(origins),
            "origins": origins.tolist(), "mse_by_origin": np.nanmean(error**2, axis=(1, 2)).tolist()}


def settings(case: Case, options: argparse.Namespace) -> Row:
    """What a row depends on: rows of other settings are computed again."""
    first, last = int(case.origins[0]), int(case.origins[-1])
    return {"origins": [first, last, len(case.origins)], "slow_origins": options.slow_origins,
            "lightgbm_rows": options.lightgbm_rows, "max_steps": options.max_steps}


def run(options: argparse.Namespace) -> list[Row]:
    """Every set with every peer; what is in the file already with these settings stays as it is."""
    rows: list[Row] = json.loads(options.out.read_text()) if options.out.exists() else []
    for name in available(options):
        case = CASES[name](options)
        now = settings(case, options)
        for peer in options.peers:
            same = [row for row in rows if (row["set"], row["forecaster"]) == (name, peer)]
            if any(row["settings"] == now for row in same):
                continue
            slow = peer in SLOW and case.season > 1
            origins = case.origins[::-(-len(case.origins) // options.slow_origins)] if slow else case.origins
            row = scored(case, origins, PEERS[peer](case, origins, options))
            rows = [row for row in rows if row not in same]
            rows.append({"set": name, "unit": case.unit, "forecaster": peer, "settings": now} | row)
            print(f"{name} {peer}: RMSE {row['rmse']:.4f}, fit {row['fit_cpu_s']:.1f} CPU-s", flush=True)
            unfinished = options.out.with_suffix(".part")
            unfinished.write_text(json.dumps(rows))
            unfinished.replace(options.out)
    return rows


def ours(folder: Path | None, name: str) -> list[Row]:
    """Our rows of a set, each the mean over its seeds."""
    file = folder / f"{name}.json" if folder else None
    runs = json.loads(file.read_text())["runs"] if file and file.exists() else []
    rows: dict[str, list[Row]] = {}
    for one in runs:
        if one.get("figures"):
            rows.setdefault(one["forecaster"], []).append(one | one["figures"])
    keys = ("windows", *FIGURES, "fit_cpu_s", "forecast_cpu_s")
    return [{"forecaster": f"ours: {forecaster}"} | {key: float(np.mean([seed[key] for seed in seeds])) for key in keys}
            for forecaster, seeds in rows.items()]


def on_common(peers: list[Row]) -> tuple[int, dict[str, float]]:
    """How many origins all peers share, and the RMSE of each peer on them."""
    errors = {row["forecaster"]: dict(zip(row["origins"], row["mse_by_origin"])) for row in peers}
    common = sorted(set.intersection(*map(set, errors.values()))) if errors else []
    rmse = lambda known: float(np.nanmean([known[origin] for origin in common])) ** 0.5  # noqa: E731
    return len(common), {name: rmse(known) for name, known in errors.items()} if common else {}


def cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def table(name: str, peers: list[Row], mine: list[Row]) -> Iterator[str]:
    """A Markdown table of one set; with a column of common origins where some peers saw fewer."""
    common, shared = on_common(peers) if len({row["windows"] for row in peers}) > 1 else (0, {})
    heads = ["windows", *(key.upper() for key in FIGURES), "fit CPU-s", "forecast CPU-s"]
    heads += [f"RMSE on {common} common"] if shared else []
    yield f"\n### {name} ({peers[0]['unit']})\n" if peers else f"\n### {name}\n"
    yield f"| forecaster | {' | '.join(heads)} |"
    yield f"|---|{'---:|' * len(heads)}"
    for row in peers + mine:
        cells = [row["forecaster"], cell(row["windows"], 0), *(cell(row[key], 4) for key in FIGURES)]
        cells += [cell(row["fit_cpu_s"], 2), cell(row["forecast_cpu_s"], 5)]
        cells += [cell(shared.get(row["forecaster"]), 4)] if shared else []
        yield f"| {' | '.join(cells)} |"


def verdict(peers: list[Row], mine: list[Row], which: str) -> Iterator[str]:
    """Ours against the best peer of the same windows, and against the neural peer's training."""
    by_name = {row["forecaster"]: row for row in peers + mine}
    own, hold = by_name.get(f"ours: {which}"), by_name.get("ours: persistence")
    same, neural = by_name.get("Persistence"), by_name.get(NEURAL)
    if hold and same and abs(hold["rmse"] / same["rmse"] - 1) > 1e-3:
        yield "\nPersistence differs from ours: these are not the same windows."
    rivals = [row for row in peers if own and row["windows"] == own["windows"]]
    if own and rivals:
        best = min(rivals, key=lambda row: row["rmse"])
        rmse, ratio = f"{best['forecaster']} {best['rmse']:.4f}", own["rmse"] / best["rmse"]
        yield f"\nRMSE of ours ({which}) {own['rmse']:.4f}, of the best peer {rmse}: {ratio:.3f} of it."
    if own and neural:
        ratio = own["fit_cpu_s"] / neural["fit_cpu_s"]
        yield f"Training {own['fit_cpu_s']:.1f} CPU-s, {NEURAL} {neural['fit_cpu_s']:.1f} CPU-s: {ratio:.3f} of it."


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--demo", type=Path, help="the demo plant's record, as evaluate exports it")
    parser.add_argument("--ours", type=Path, help="folder of results of `counterpart evaluate`")
    parser.add_argument("--our-row", default="fine_tuned", help="which of our forecasters the verdict is about")
    parser.add_argument("--out", type=Path, default=Path("peers.json"), help="results, which grow row by row")
    parser.add_argument("--markdown", type=Path, help="write the tables here too")
    parser.add_argument("--sets", nargs="+", choices=CASES, default=list(CASES), metavar="SET")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS), metavar="PEER")
    parser.add_argument("--stride", type=int, default=4, help="rows between origins at least")
    parser.add_argument("--max-windows", type=int, default=600, help="origins of a set at most, evenly spread")
    parser.add_argument("--slow-origins", type=int, default=45, help="at most, for AutoARIMA and AutoETS with a season")
    parser.add_argument("--lightgbm-rows", type=int, default=30_000, help="training rows of a model")
    parser.add_argument("--max-steps", type=int, default=1_000, help="training steps of NHITS at most")
    return parser.parse_args()


def main() -> None:
    warnings.filterwarnings("ignore")
    options = arguments()
    rows, lines = run(options), []
    for name in options.sets:
        place = {peer: i for i, peer in enumerate(PEERS)}
        peers = sorted((row for row in rows if row["set"] == name), key=lambda row: place[row["forecaster"]])
        mine = ours(options.ours, name)
        if peers or mine:
            lines += [*table(name, peers, mine), *verdict(peers, mine, options.our_row)]
    print("\n".join(lines))
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
