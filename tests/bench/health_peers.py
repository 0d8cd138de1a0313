"""Fault classes of the Tennessee Eastman process beside gradient boosting, in one run.

    pip install numpy scikit-learn
    python tests/bench/health_peers.py DATA [path of the counterpart binary]

DATA holds `tep/d00.dat` and the others. Both learn from windows of 24 samples of the training files and are
judged on every window of the `_te` files by its last row, which is faulty from row 160 on. Gradient boosting
(scikit-learn's histograms, balanced classes, 100 trees a class) gets each window as it is, and as six
statistics of each variable; the better of the two is the one to beat.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import accuracy_score, f1_score

FAULTS = (0, 1, 4, 5, 6, 14)
LOOK = 24
ONSET = 160


def read(path):
    rows = np.loadtxt(path)
    return rows.T if rows.shape[0] == 52 else rows


def windows(rows):
    return np.stack([rows[end - LOOK:end] for end in range(LOOK, len(rows) + 1)])


def statistics(looks):
    change = np.abs(np.diff(looks, axis=1)).mean(axis=1)
    parts = (looks[:, -1], looks.mean(axis=1), looks.std(axis=1), looks.min(axis=1), looks.max(axis=1), change)
    return np.concatenate(parts, axis=1)


def main():
    data = sys.argv[1]
    binary = sys.argv[2] if len(sys.argv) > 2 else "target/release/counterpart"
    train, truth, test, wanted = [], [], [], []
    for place, fault in enumerate(FAULTS):
        looks = windows(read(os.path.join(data, "tep", f"d{fault:02}.dat")))
        train.append(looks)
        truth += [place] * len(looks)
        looks = windows(read(os.path.join(data, "tep", f"d{fault:02}_te.dat")))
        test.append(looks)
        wanted += [place if row >= ONSET else 0 for row in range(LOOK - 1, LOOK - 1 + len(looks))]
    train, test = np.concatenate(train), np.concatenate(test)

    print("| classifier | accuracy | macro F1 | fit CPU-s |")
    print("|---|--:|--:|--:|")
    for name, view in (("gradient boosting, windows", lambda x: x.reshape(len(x), -1)),
                       ("gradient boosting, statistics", statistics)):
        begin = time.process_time()
        model = HistGradientBoostingClassifier(class_weight="balanced", early_stopping=False, random_state=0)
        model.fit(view(train), truth)
        took = time.process_time() - begin
        said = model.predict(view(test))
        print(f"| {name} | {accuracy_score(wanted, said):.4f} | {f1_score(wanted, said, average='macro'):.4f} | {took:.1f} |")

    with tempfile.TemporaryDirectory() as out:
        subprocess.run([binary, "evaluate", "--set", "tep", "--data", data, "--out", out], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(os.path.join(out, "tep.json"), encoding="utf-8") as file:
            runs = json.load(file)["runs"]
    ours = [run for run in runs if run["method"] == "ours"]
    for run in ours:
        assert run["card"]["cases"] == len(wanted), "both are judged on the same windows"
    mean = lambda pick: np.mean([pick(run) for run in ours])
    print(f"| ours, mean of {len(ours)} seeds | {mean(lambda r: r['card']['accuracy']):.4f} | "
          f"{mean(lambda r: r['card']['macro_f1']):.4f} | {mean(lambda r: r['fit_cpu_s']):.1f} |")


if __name__ == "__main__":
    main()
