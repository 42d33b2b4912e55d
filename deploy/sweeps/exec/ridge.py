#!/usr/bin/python3
"""Logistic regression with an L2 penalty on logarithms of band maxima: a
program of one's own in numpy, and a template for others.

config: l2 (0.02), epochs (100), band_celsius (100), lr (0.05),
checkpoint_every (20 epochs).
"""

import time

import foldfarm_attempt  # First: says so where numpy is missing.
import numpy as np
from band_maxima import band_maxima


def sigmoid(x):
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


def train(attempt):
    l2 = attempt.option("l2", 0.02, 0, 1e3)
    epochs = attempt.option("epochs", 100, 1, 100000)
    band = attempt.option("band_celsius", 100.0, 10, 1000)
    lr = attempt.option("lr", 0.05, 1e-6, 10)
    every = attempt.option("checkpoint_every", 20, 1, 100000)
    pause = attempt.option("seconds_per_epoch", 0.0, 0, 60)  # For tests.

    x = band_maxima(attempt.dataset, attempt.train, band)
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-3
    x = (x - mean) / scale
    y = attempt.dataset.targets(attempt.train, attempt.labels)
    held_out = (band_maxima(attempt.dataset, attempt.validation, band)
                - mean) / scale
    held_out_y = attempt.dataset.targets(attempt.validation, attempt.labels)

    # Adam (Kingma & Ba 2015) on all samples at once.
    epoch, state = attempt.resume()
    if state is None:
        prior = np.clip(y.mean(axis=0), 0.01, 0.99)
        zeros = np.zeros((x.shape[1] + 1, y.shape[1]))
        state = {"w": zeros.copy(), "m": zeros.copy(), "v": zeros.copy()}
        state["w"][-1] = np.log(prior / (1 - prior))
    attempt.started(epochs, resumed_epoch=epoch)
    w, m, v = state["w"], state["m"], state["v"]
    while epoch < epochs:
        began = time.monotonic()
        time.sleep(pause)
        epoch += 1
        error = sigmoid(x @ w[:-1] + w[-1]) - y
        gradient = np.vstack([x.T @ error, error.sum(axis=0)]) / len(x)
        gradient[:-1] += l2 * w[:-1]
        m += 0.1 * (gradient - m)
        v += 0.001 * (gradient**2 - v)
        w -= lr * (m / (1 - 0.9**epoch)) / (
            np.sqrt(v / (1 - 0.999**epoch)) + 1e-8)
        p = sigmoid(held_out @ w[:-1] + w[-1])
        attempt.epoch(epoch, log_loss=foldfarm_attempt.log_loss(p, held_out_y),
                      seconds=time.monotonic() - began)
        attempt.checkpoint(epoch, {"w": w, "m": m, "v": v},
                           due=epoch % every == 0)
    attempt.finish(sigmoid(held_out @ w[:-1] + w[-1]),
                   weights={"w": w, "mean": mean, "scale": scale})


foldfarm_attempt.run(train)
