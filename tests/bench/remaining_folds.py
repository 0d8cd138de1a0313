"""What it brings to see engines along their directions of wear, told by training engines of C-MAPSS FD001 alone.

    pip install numpy scikit-learn
    python tests/bench/remaining_folds.py DATA [rounds of five folds, 2 by default]

DATA holds `cmapss/train_FD001.txt`; no test file is read. In every fold whole engines are held out, and networks
like those of `src/model/remaining` learn from the others: signal by signal, along directions, and, as a fine-tune
job does, whichever told more of engines that its networks did not learn from. A held-out row counts as often as
it would be seen if its engine were cut at random, 5 to 145 cycles before its end.
"""

import math
import os
import sys

import numpy as np

from remaining_peers import HORIZON, NEAR, classes, directions, features, read

BINS, HIDDEN, MEMBERS, BATCH, RATE, DECAY, PATIENCE, EVALUATE_EVERY = 26, 64, 5, 256, 5e-3, 0.02, 6, 50
WIDTH = HORIZON / (BINS - 1)
MANY, FEW = dict(dropout=0.4, smooth=3.0, steps=1500), dict(dropout=0.1, smooth=2.0, steps=4000)
CUT = (5, 145)
erf = np.vectorize(math.erf)


def softmax(scores):
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def targets(left, smooth):
    table = np.arange(HORIZON * 4)  # Cycles are whole: each is smoothed once.
    below = 0.5 * (1 + erf((np.arange(BINS + 1) - table[:, None] / WIDTH) / smooth / math.sqrt(2)))
    below[:, 0], below[:, -1] = 0, 1
    return np.diff(below, axis=1).astype(np.float32)[left.astype(int)]


def network(weights):
    return lambda seen: np.tanh(seen @ weights[0] + weights[1]) @ weights[2] + weights[3]


def attempt(seen, wanted, stops, wanted_of_stops, seed, dropout, steps):
    draw = np.random.default_rng(seed)
    he = lambda *shape: (draw.uniform(-1, 1, shape) * math.sqrt(6 / shape[0])).astype(np.float32)
    weights = [he(seen.shape[1], HIDDEN), np.zeros(HIDDEN, np.float32), he(HIDDEN, BINS), np.zeros(BINS, np.float32)]
    means, squares = ([np.zeros_like(part) for part in weights] for _ in range(2))
    loss = lambda: -np.mean(np.sum(wanted_of_stops * np.log(softmax(network(weights)(stops)) + 1e-30), axis=1))
    best, waited = (loss(), [part.copy() for part in weights]), 0
    for step in range(1, steps + 1):
        rate = RATE * min(step / 10, 1) * (0.95 * 0.5 * (1 + math.cos(math.pi * step / steps)) + 0.05)
        rows = draw.integers(0, len(seen), BATCH)
        hidden = np.tanh(seen[rows] @ weights[0] + weights[1])
        mask = (draw.random(hidden.shape, dtype=np.float32) >= dropout).astype(np.float32) / np.float32(1 - dropout)
        wrong = (softmax((hidden * mask) @ weights[2] + weights[3]) - wanted[rows]) / BATCH
        back = (wrong @ weights[2].T) * mask * (1 - hidden ** 2)
        slopes = [seen[rows].T @ back, back.sum(axis=0), (hidden * mask).T @ wrong, wrong.sum(axis=0)]
        cut = min(1, 1 / (math.sqrt(sum((slope ** 2).sum() for slope in slopes)) + 1e-6))
        for part, slope in enumerate(slopes):
            slope = slope * np.float32(cut)
            means[part] = 0.9 * means[part] + 0.1 * slope
            squares[part] = 0.999 * squares[part] + 0.001 * slope ** 2
            length = means[part] / (1 - 0.9 ** step) / (np.sqrt(squares[part] / (1 - 0.999 ** step)) + 1e-8)
            weights[part] = (weights[part] * (1 - rate * DECAY) - rate * length).astype(np.float32)
        if step % EVALUATE_EVERY == 0:
            now = loss()
            waited += 1
            if now < best[0] - 1e-4:
                best, waited = (now, [part.copy() for part in weights]), 0
            if waited >= PATIENCE:
                break
    return network(best[1])


def learn(seen, left, engine, seed, dropout, smooth, steps):
    """Probabilities of bins as a function of rows, and the loss on engines that networks did not learn from."""
    order, wanted = np.random.default_rng(seed).permutation(np.unique(engine)), targets(left, smooth)
    networks, held = [], np.zeros_like(wanted)
    for member in range(MEMBERS):
        stops = np.isin(engine, order[member::MEMBERS])
        networks.append(attempt(seen[~stops], wanted[~stops], seen[stops], wanted[stops], 100 * seed + member,
                                dropout, steps))
        held[stops] = networks[-1](seen[stops])
    bins = np.minimum(left / WIDTH, BINS - 1).astype(int)
    loss = lambda heat: -np.mean(np.log(softmax(held / heat)[np.arange(len(left)), bins] + 1e-30))
    heat = min((2 ** (fifths / 5) for fifths in range(9)), key=loss)
    return (lambda rows: np.mean([softmax(one(rows) / heat) for one in networks], axis=0)), loss(heat)


def seen_along(weights, engines, teaching):
    rows = np.vstack([features(engine @ weights) for engine in engines])
    mean, deviation = rows[teaching].mean(axis=0), rows[teaching].std(axis=0)
    moves = deviation > 1e-9 * np.maximum(np.abs(rows[teaching]).max(axis=0), 1)
    return np.clip((rows - mean) / np.where(moves, deviation, 1), -6, 6).astype(np.float32)


def report(name, said, left):
    weights = np.clip((left - CUT[0] + 1) / (CUT[1] - CUT[0] + 1), 0, 1)
    near, healthy = said[:, :int(NEAR / WIDTH)].sum(axis=1), said[:, -1]
    named = np.argmax(np.stack([healthy, 1 - healthy - near, near], axis=1), axis=1)
    confusion = np.zeros((3, 3))
    np.add.at(confusion, (classes(left), named), weights)
    f1 = 2 * np.diag(confusion) / (confusion.sum(axis=0) + confusion.sum(axis=1))
    errors = said[:, :-1] @ ((np.arange(BINS - 1) + 0.5) * WIDTH) + healthy * HORIZON - np.minimum(left, HORIZON)
    below, known = np.cumsum(said, axis=1), left < HORIZON
    place = np.minimum(left / WIDTH, BINS - 2)
    whole, rows = place.astype(int), np.arange(len(left))
    level = below[rows, whole] - (1 - (place - whole)) * said[rows, whole]
    held = np.average((np.abs(level - 0.5) <= 0.4)[known], weights=weights[known])
    print(f"| {name} | {f1.mean():.3f} | {' '.join(f'{one:.3f}' for one in f1)} | "
          f"{math.sqrt(np.average(errors ** 2, weights=weights)):.2f} | {100 * held:.0f} % |", flush=True)


def main():
    train = read(os.path.join(sys.argv[1], "cmapss", "train_FD001.txt"))
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    left = np.concatenate([np.arange(len(rows))[::-1] for rows in train]).astype(float)
    engine = np.concatenate([np.full(len(rows), place) for place, rows in enumerate(train)])
    print("| way to see | macro F1 | of healthy, degrading, near failure | RMSE | 80 % band holds |")
    print("|---|--:|---|--:|--:|")
    for seed in range(rounds):
        order, told = np.random.default_rng(seed).permutation(len(train)), np.zeros((3, len(left), BINS))
        for fold in range(5):
            held_out = np.isin(engine, order[fold::5])
            teaching = [rows for place, rows in enumerate(train) if place not in order[fold::5]]
            losses = []
            for way, (weights, manner) in enumerate(((np.eye(train[0].shape[1]), MANY), (directions(teaching), FEW))):
                seen = seen_along(weights, train, ~held_out)
                say, loss = learn(seen[~held_out], left[~held_out], engine[~held_out], 10 * seed + fold, **manner)
                told[way][held_out] = say(seen[held_out])
                losses.append(loss)
            told[2][held_out] = told[int(np.argmin(losses))][held_out]
        for name, said in zip(("signal by signal", "along directions", "as chosen"), told):
            report(f"{name}, round {seed + 1}", said, left)


if __name__ == "__main__":
    main()
