"""The sets of `counterpart evaluate`, cut as there, for `peers.py`.

Rows are counted from 0. An origin is the row of the first value that is asked for; all rows before it are
known, and of the inputs the rows of the horizon too. No model learns from rows of the test part.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

Span = tuple[int, int]


@dataclass(frozen=True)
class Case:
    """A set with its split. Signals are in units of their deviation over the training part."""

    name: str
    unit: str  # of the scores
    targets: np.ndarray  # [rows, targets]; NaN where nothing was measured
    inputs: np.ndarray  # [rows, inputs], known ahead
    scale: np.ndarray  # [targets]: from the units above to those of the scores
    train: Span
    valid: Span
    origins: np.ndarray
    horizon: int
    lookback: int
    season: int = 1

    def known(self) -> np.ndarray:
        """The targets as models see them: a gap holds the value before it."""
        return pd.DataFrame(self.targets).ffill().bfill().to_numpy()

    def truth(self, origins: np.ndarray) -> np.ndarray:
        """[origins, targets, steps]"""
        return self.targets[origins[:, None] + np.arange(self.horizon)].transpose(0, 2, 1)

    def groups(self) -> list[list[int]]:
        """Targets that share one learned model: all where there are no inputs, else each has its own."""
        every = range(self.targets.shape[1])
        return [[i] for i in every] if self.inputs.shape[1] else [list(every)]

    def others(self, group: list[int]) -> list[int]:
        """Targets whose past may explain the group's."""
        return [i for i in range(self.targets.shape[1]) if i not in group]


def spread(first: int, end: int, horizon: int, stride: int, most: int) -> np.ndarray:
    """Origins of whole horizons within `first..end`, as `evaluate::task::spans` has them."""
    last = end - horizon
    return np.arange(first, last + 1, max(stride, -(-(last - first + 1) // most)))


def standardised(values: np.ndarray, rows: Span) -> tuple[np.ndarray, np.ndarray]:
    part = values[slice(*rows)]
    mean, deviation = np.nanmean(part, axis=0), np.nanstd(part, axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    return (values - mean) / deviation, deviation


def etth1(options: argparse.Namespace) -> Case:
    values = pd.read_csv(options.data / "ett/ETTh1.csv").iloc[:14_400, 1:].to_numpy(float)
    targets, _ = standardised(values, (0, 8_640))
    origins = spread(11_520, 14_400, 96, options.stride, options.max_windows)
    return Case("etth1", "train deviations", targets, targets[:, :0], np.ones(7), (0, 8_640), (8_640, 11_520),
                origins, horizon=96, lookback=512, season=24)


def cascaded_tanks_rolling(options: argparse.Namespace) -> Case:
    """The test record follows the estimation record, whose last fifth is for early stopping."""
    file = pd.read_csv(options.data / "cascaded_tanks/dataBenchmark.csv")
    level, pump = (np.concatenate([file[f"{name}Est"], file[f"{name}Val"]])[:, None] for name in "yu")
    (targets, deviation), (inputs, _) = standardised(level, (0, 1_024)), standardised(pump, (0, 1_024))
    origins = spread(1_024 + 256, 2_048, 64, options.stride, options.max_windows)
    return Case("cascaded_tanks_rolling", "V", targets, inputs, deviation, (0, 820), (820, 1_024), origins,
                horizon=64, lookback=256)


def cstr(options: argparse.Namespace) -> Case:
    values = np.loadtxt(options.data / "cstr_daisy/cstr.dat")
    (targets, _), (inputs, _) = (standardised(values[:, columns], (0, 4_500)) for columns in ([2, 3], [1]))
    origins = spread(6_000, 7_500, 64, options.stride, options.max_windows)
    return Case("cstr", "train deviations", targets, inputs, np.ones(2), (0, 4_500), (4_500, 6_000), origins,
                horizon=64, lookback=256)


def wiener_hammerstein(options: argparse.Namespace) -> Case:
    """Learned from the newest 30,000 of the first 100,000 rows, the last fifth of them for early stopping."""
    values = pd.read_csv(options.data / "wh2009/WienerHammerBenchmark.csv", usecols=[0, 1]).dropna().to_numpy()
    (inputs, _), (targets, _) = (standardised(values[:, [column]], (0, 80_000)) for column in (0, 1))
    origins = spread(188_000 - 78_800 + 50, 188_000, 64, 256, options.max_windows)
    return Case("wiener_hammerstein", "train deviations", targets, inputs, np.ones(1), (70_000, 94_000),
                (94_000, 100_000), origins, horizon=64, lookback=256)


def demo_plant(options: argparse.Namespace) -> Case:
    roles = json.loads(options.demo.with_suffix(".roles.json").read_text())
    file, horizon = pd.read_csv(options.demo), roles.get("horizon", 64)
    named = lambda *wanted: [name for name, s in roles["signals"].items() if s["role"] in wanted]  # noqa: E731
    outputs, known = named("output"), named("control_input", "disturbance")
    shares = [roles.get(part, share) for part, share in (("train", 0.6), ("validation", 0.2), ("test", 0.2))]
    train, valid, test = (int(share * len(file)) for share in shares)
    begin, first = len(file) - train - valid - test, len(file) - test
    rows = begin, begin + train
    targets, _ = standardised(file[outputs].to_numpy(float), rows)
    inputs, _ = standardised(file[known].ffill().bfill().to_numpy(float), rows)
    origins = spread(first, len(file), horizon, options.stride, options.max_windows)
    return Case("demo_plant", "train deviations", targets, inputs, np.ones(len(outputs)), rows, (rows[1], first),
                origins, horizon, lookback=256)


CASES: dict[str, Callable[[argparse.Namespace], Case]] = {
    case.__name__: case for case in (etth1, cascaded_tanks_rolling, cstr, wiener_hammerstein, demo_plant)
}


def available(options: argparse.Namespace) -> list[str]:
    """The sets that were asked for and whose files are named."""
    return [name for name in options.sets if name != "demo_plant" or isinstance(options.demo, Path)]
