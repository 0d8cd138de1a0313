"""Remaining useful life of C-MAPSS FD001 beside gradient boosting, in one run.

    pip install numpy scikit-learn
    python tests/bench/remaining_peers.py DATA [path of the counterpart binary]

DATA holds `cmapss/train_FD001.txt` and the others. Both see the same features of every row (means of 5 and 30
cycles and an exponential average of 30 less the mean of the first 30 cycles, the trend over 30, that mean itself,
the age), signal by signal or along the directions in which signals wear, and learn the remaining cycles capped at
125. Gradient boosting (scikit-learn's histograms) is shown with either, and chooses among a few settings by
cross-validation over training engines; classes it learns as such. Judged are the last row of each test engine,
and all rows.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import f1_score
from sklearn.model_selection import GroupKFold

HORIZON, NEAR = 125, 30
SHORT, LONG, BEGINNING, CONSTANT = 5, 30, 30, 30
TIMES, MOST = 4, 8
SETTINGS = [dict(learning_rate=rate, max_iter=rounds, max_leaf_nodes=leaves)
            for rate, rounds, leaves in ((0.1, 100, 31), (0.05, 200, 15), (0.05, 200, 7), (0.03, 400, 7))]


def read(path):
    rows = np.loadtxt(path)
    return [rows[rows[:, 0] == engine][:, 2:] for engine in np.unique(rows[:, 0])]


def features(rows):
    count, parts = len(rows), []
    sums = np.vstack([np.zeros(rows.shape[1]), np.cumsum(rows, axis=0)])
    mean = lambda end, length: (sums[end + 1] - sums[max(0, end + 1 - length)]) / (end + 1 - max(0, end + 1 - length))
    forgets, total, weight = np.exp(-1 / CONSTANT), 0.0, 0.0
    for age in range(count):
        begun = sums[min(age + 1, BEGINNING)] / min(age + 1, BEGINNING)
        total, weight = total * forgets + rows[age], weight * forgets + 1
        newest = rows[max(0, age + 1 - LONG):age + 1]
        lever = np.arange(len(newest)) - (len(newest) - 1) / 2
        trend = lever @ newest / (lever @ lever) * len(newest) if len(newest) >= 3 else np.zeros(rows.shape[1])
        parts.append(np.concatenate([mean(age, SHORT) - begun, mean(age, LONG) - begun, total / weight - begun, trend,
                                     begun, [age]]))
    return np.array(parts)


def directions(engines):
    """As `src/features/wear.rs` finds them: most of a change along them is not noise."""
    jumps = np.vstack([np.diff(rows, axis=0) for rows in engines])
    deviation = np.sqrt(np.mean(jumps ** 2, axis=0) / 2)
    moving = deviation > 1e-9 * np.max([np.abs(rows).max(axis=0) for rows in engines], axis=0)
    signals = jumps.shape[1]
    changes = np.vstack([features(rows)[:, :signals] for rows in engines])
    second = lambda rows: (rows[:, moving] / deviation[moving]).T @ (rows[:, moving] / deviation[moving]) / len(rows)
    values, vectors = np.linalg.eigh(second(jumps) / 2 + 1e-3 * np.eye(moving.sum()))
    white = vectors / np.sqrt(values)
    ratios, weights = np.linalg.eigh(white.T @ second(changes) @ white)
    kept = [place for place in range(len(ratios))[::-1] if ratios[place] > TIMES * (1 / SHORT + 1 / BEGINNING)][:MOST]
    whole = np.zeros((signals, len(kept)))
    whole[moving] = (white @ weights)[:, kept] / deviation[moving][:, None]
    return whole


def classes(left):
    return np.where(left >= HORIZON, 0, np.where(left >= NEAR, 1, 2))


def main():
    data = os.path.join(sys.argv[1], "cmapss")
    binary = sys.argv[2] if len(sys.argv) > 2 else "target/release/counterpart"
    train, test = read(os.path.join(data, "train_FD001.txt")), read(os.path.join(data, "test_FD001.txt"))
    after = np.loadtxt(os.path.join(data, "RUL_FD001.txt"))
    left = np.concatenate([np.arange(len(rows))[::-1] for rows in train])
    truth = np.concatenate([np.arange(len(rows))[::-1] + more for rows, more in zip(test, after)])
    engine = np.concatenate([np.full(len(rows), place) for place, rows in enumerate(train)])
    last = np.cumsum([len(rows) for rows in test]) - 1
    capped = np.minimum(left, HORIZON)
    rmse = lambda said, truth: np.sqrt(np.mean((said - np.minimum(truth, HORIZON)) ** 2))

    print("| method | RMSE, last rows | RMSE, all rows | macro F1, last rows | macro F1, all rows | fit CPU-s |")
    print("|---|--:|--:|--:|--:|--:|")

    def boosted(name, weights):
        seen, asked = (np.vstack([features(rows @ weights) for rows in part]) for part in (train, test))

        def trial(setting):
            errors = []
            for fit, judge in GroupKFold(5).split(seen, groups=engine):
                model = HistGradientBoostingRegressor(early_stopping=False, random_state=0, **setting)
                errors.append(rmse(model.fit(seen[fit], capped[fit]).predict(seen[judge]), left[judge]))
            return np.mean(errors)

        chosen = min(SETTINGS, key=trial)
        begin = time.process_time()
        model = HistGradientBoostingRegressor(early_stopping=False, random_state=0, **chosen).fit(seen, capped)
        named = HistGradientBoostingClassifier(early_stopping=False, random_state=0, class_weight="balanced", **chosen)
        named.fit(seen, classes(left))
        took = time.process_time() - begin
        said, call = model.predict(asked), named.predict(asked)
        f1 = lambda rows: f1_score(classes(truth)[rows], call[rows], average="macro")
        print(f"| gradient boosting, {name} | {rmse(said[last], truth[last]):.2f} | {rmse(said, truth):.2f} | "
              f"{f1(last):.3f} | {f1(np.arange(len(truth))):.3f} | {took:.1f} |")

    boosted("signal by signal", np.eye(train[0].shape[1]))
    boosted("along directions of wear", directions(train))

    with tempfile.TemporaryDirectory() as out:
        subprocess.run([binary, "evaluate", "--set", "cmapss", "--data", sys.argv[1], "--out", out], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(os.path.join(out, "cmapss.json"), encoding="utf-8") as file:
            runs = json.load(file)["runs"]
    for method, name in (("changes", "ours, signal by signal, changes alone"), ("signals", "ours, signal by signal"),
                         ("ours", "ours")):
        ours = [run for run in runs if run["method"] == method]
        for run in ours:
            assert (run["last"]["classes"]["cases"], run["all"]["classes"]["cases"]) == (len(last), len(truth))
        mean = lambda pick: np.mean([pick(run) for run in ours])
        print(f"| {name}, mean of {len(ours)} seeds | {mean(lambda r: r['last']['rmse']):.2f} | "
              f"{mean(lambda r: r['all']['rmse']):.2f} | {mean(lambda r: r['last']['classes']['macro_f1']):.3f} | "
              f"{mean(lambda r: r['all']['classes']['macro_f1']):.3f} | {mean(lambda r: r['fit_cpu_s']):.1f} |")


if __name__ == "__main__":
    main()
