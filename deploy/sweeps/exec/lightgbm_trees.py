#!/usr/bin/python3
"""Gradient-boosted trees by LightGBM, a booster a label, on band maxima.

An epoch is a label. Where lightgbm is not installed the job fails at once, for
good, and says so. config: rounds (200), learning_rate (0.05), leaves (15),
feature_share (0.3), band_celsius (100).
"""

import os
import sys
import time

import foldfarm_attempt  # First: says so where numpy is missing.
import numpy as np
from band_maxima import band_maxima

try:
    import lightgbm
except ImportError:
    lightgbm = None


def train(attempt):
    if lightgbm is None:
        raise foldfarm_attempt.BadConfiguration(
            f"lightgbm is not installed for {sys.executable} on "
            f"{os.uname().nodename}; install it there (pip install lightgbm) "
            "or name another Python in exec.command")
    rounds = attempt.option("rounds", 200, 1, 100000)
    band = attempt.option("band_celsius", 100.0, 10, 1000)
    options = {
        "objective": "binary",
        "learning_rate": attempt.option("learning_rate", 0.05, 1e-6, 1),
        "num_leaves": attempt.option("leaves", 15, 2, 65536),
        "feature_fraction": attempt.option("feature_share", 0.3, 0.001, 1),
        "bagging_fraction": 0.8, "bagging_freq": 1,
        "min_data_in_leaf": 5, "num_threads": attempt.threads,
        "seed": attempt.seed % 2**31, "deterministic": True, "verbose": -1}

    x = band_maxima(attempt.dataset, attempt.train, band)
    y = attempt.dataset.targets(attempt.train, attempt.labels)
    held_out = band_maxima(attempt.dataset, attempt.validation, band)
    held_out_y = attempt.dataset.targets(attempt.validation, attempt.labels)

    epoch, state = attempt.resume()
    p = np.zeros(held_out_y.shape) if state is None else state["p"]
    attempt.started(len(attempt.labels), resumed_epoch=epoch)
    for label in range(epoch, len(attempt.labels)):
        began = time.monotonic()
        booster = lightgbm.train(
            options, lightgbm.Dataset(x, label=y[:, label]), rounds)
        p[:, label] = booster.predict(held_out)
        attempt.epoch(
            label + 1, seconds=time.monotonic() - began,
            label_log_loss=foldfarm_attempt.log_loss(p[:, label],
                                                     held_out_y[:, label]))
        attempt.checkpoint(label + 1, {"p": p})
    attempt.finish(np.clip(p, 0, 1))


foldfarm_attempt.run(train)
