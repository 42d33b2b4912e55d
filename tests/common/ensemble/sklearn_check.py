"""Computes an ensemble's figures anew with scikit-learn and numpy.

sklearn_check.py FILE compares the figures in FILE, which sklearn_test.cc
writes, with its own and prints those that differ; exit status 1 if any does.
Nothing here is taken over from the C++ code but the definitions in its headers.
"""
import json
import sys

import numpy as np
from sklearn.metrics import (accuracy_score, average_precision_score, log_loss,
                             roc_auc_score)

DRAWS, SEED = 1000, 42
C = 0.002
differences = []
compared = 0


def same(what, got, expected, tolerance=1e-9):
    global compared
    compared += 1
    got = np.asarray(got, dtype=float)  # None is NaN.
    expected = np.asarray(expected, dtype=float)
    if got.shape != expected.shape or not np.allclose(
            got, expected, rtol=0, atol=tolerance, equal_nan=True):
        differences.append(f"{what}: got {got}, expected {expected}")


def shrink(p, c):
    return p * (1 - 2 * c) + c


def cells(truth, p):
    keep = ~np.isnan(p)
    return truth[keep], p[keep]


def loss(truth, p):
    """scikit-learn's, of probabilities that need no guard any more."""
    t, q = cells(truth, p)
    return log_loss(t, q, labels=[0, 1], eps=1e-15)


def losses(truth, p):
    return -(truth * np.log(p) + (1 - truth) * np.log(1 - p))


def mean_loss(truth, p):
    """The same by numpy, which is faster: for what is only compared."""
    return np.nanmean(losses(truth, p))


def rank_scores(truth, p, counts=None):
    """Mean AUC and average precision over labels that have both sides."""
    auc, precision = [], []
    for label in range(truth.shape[1]):
        keep = ~np.isnan(p[:, label])
        t, q = truth[keep, label], p[keep, label]
        w = None if counts is None else counts[keep]
        present = t if w is None else t[w > 0]
        if len(present) == 0 or present.min() == present.max():
            continue
        auc.append(roc_auc_score(t, q, sample_weight=w))
        precision.append(average_precision_score(t, q, sample_weight=w))
    if not auc:
        return np.nan, np.nan
    return np.mean(auc), np.mean(precision)


def draws_of(samples):
    drawn = np.random.RandomState(SEED).randint(
        samples, size=(DRAWS, samples), dtype=np.uint32)
    return np.array([np.bincount(draw, minlength=samples) for draw in drawn])


def interval(values):
    values = np.asarray(values)
    values = values[~np.isnan(values)]
    return list(np.percentile(values, [2.5, 97.5])) if len(values) else None


def mean_interval(cell_values, counts):
    """Of a mean over cells, [samples, labels] with NaN for none."""
    sums = np.nansum(cell_values, axis=1)
    number = (~np.isnan(cell_values)).sum(axis=1)
    return interval(counts @ sums / (counts @ number))


def check_scores(what, got, truth, p, constants, rank_draws):
    same(f"{what} log loss", got["log_loss"],
         loss(truth, shrink(p, constants[:, None])))
    same(f"{what} shrunk", got["log_loss_shrink_0002"],
         loss(truth, shrink(p, C)))
    for name, epsilon in (("clip_1e_3", 1e-3), ("clip_1e_2", 1e-2)):
        same(f"{what} {name}", got["log_loss_" + name],
             loss(truth, np.clip(p, epsilon, 1 - epsilon)))
    t, q = cells(truth, p)
    same(f"{what} accuracy", got["accuracy"], accuracy_score(t, q > 0.5))
    auc, precision = rank_scores(truth, p)
    same(f"{what} AUC", got["auc"], auc)
    same(f"{what} average precision", got["average_precision"], precision)
    counts = draws_of(len(truth))
    same(f"{what} interval", got["log_loss_interval"],
         mean_interval(losses(truth, shrink(p, constants[:, None])), counts))
    right = np.where(np.isnan(p), np.nan, (p > 0.5) == (truth > 0.5))
    same(f"{what} accuracy interval", got["accuracy_interval"],
         mean_interval(right, counts))
    if rank_draws:
        drawn = np.array([rank_scores(truth, p, count) for count in counts])
        same(f"{what} AUC interval", got["auc_interval"],
             interval(drawn[:, 0]))
        same(f"{what} average precision interval",
             got["average_precision_interval"], interval(drawn[:, 1]))


class Case:
    def __init__(self, case):
        self.truth = np.array(case["truth"], dtype=float)
        self.folds = np.array(case["folds"])
        self.instruments = np.array(case["instruments"])
        self.p = np.array(case["models"], dtype=float)  # [models, samples, labels]
        self.draws = np.array(case["draws"], dtype=float)
        self.prior = self.prior_of(self.truth, self.folds)
        self.predicted = ~np.isnan(self.p).all(axis=(0, 1))
        self.prior[:, ~self.predicted] = np.nan
        self.constants = np.where(self.instruments == "sam_testbed", 0.01, C)

    @staticmethod
    def prior_of(truth, folds):
        prior = np.empty_like(truth)
        for fold in np.unique(folds):
            others = folds != fold
            if not others.any():
                others = folds == fold
            prior[folds == fold] = truth[others].mean(axis=0)
        return prior

    def mean(self, weights, p=None, prior=None):
        """Of the models with weights; the prior where none of those predicts."""
        p = self.p if p is None else p
        prior = self.prior if prior is None else prior
        weights = np.asarray(weights, dtype=float)[:, None, None]
        total = (weights * ~np.isnan(p)).sum(axis=0)
        with np.errstate(invalid="ignore"):
            mean = np.nansum(weights * p, axis=0) / total
        return np.where(total > 0, mean, prior)

    def part(self, samples):
        """Truth, predictions and prior of some samples, as if there were no
        others."""
        prior = self.prior_of(self.truth[samples], self.folds[samples])
        prior[:, ~self.predicted] = np.nan
        return self.truth[samples], self.p[:, samples], prior


def greedy(case, truth, p, prior, again):
    """Steps (model, log loss) of growth."""
    counts = np.zeros(len(p))
    steps = []
    while len(steps) < (100 if again else len(p)):
        best = None
        for model in range(len(p)):
            if counts[model] and not again:
                continue
            counts[model] += 1
            score = mean_loss(truth, shrink(case.mean(counts, p, prior), C))
            counts[model] -= 1
            if best is None or score < best[1] - 1e-15:
                best = (model, score)
        if again and steps and best[1] > steps[-1][1] - 1e-5:
            break
        counts[best[0]] += 1
        steps.append(best)
    return steps


def eliminate(case):
    left = np.ones(len(case.p))
    steps = []
    while left.sum() > 1:
        best = None
        for model in np.flatnonzero(left):
            left[model] = 0
            score = mean_loss(case.truth, shrink(case.mean(left), C))
            left[model] = 1
            if best is None or score < best[1] - 1e-15:
                best = (model, score)
        left[best[0]] = 0
        steps.append(best)
    return steps


def least_log_loss(truth, p):
    """By the EM algorithm, which is slow and cannot fail."""
    plain = np.nanmean(p, axis=0)
    filled = np.where(np.isnan(p), plain, p)
    keep = ~np.isnan(plain)
    q = shrink(filled[:, keep], C)
    q = np.where(truth[keep] > 0.5, q, 1 - q)
    weights = np.full(len(p), 1 / len(p))
    for _ in range(20000):
        weights = weights * (q / (weights @ q)).mean(axis=1)
    return weights


def check_steps(what, got, expected):
    same(f"{what} models", [step[0] for step in got],
         [step[0] for step in expected])
    same(f"{what} log loss", [step[1] for step in got],
         [step[1] for step in expected])


def best_constant(truth, p):
    """By golden section, which only compares log losses."""
    t, q = cells(truth, p)
    low, high = 1e-6, 0.5
    ratio = (np.sqrt(5) - 1) / 2
    cost = lambda c: losses(t, shrink(q, c)).mean()
    while high - low > 1e-8:
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        if cost(a) < cost(b):
            high = b
        else:
            low = a
    return (low + high) / 2


def check_shrink(case, got, mean):
    for fit in got:
        samples = np.ones(len(case.truth), dtype=bool)
        if fit["instrument"]:
            samples = case.instruments == fit["instrument"]
        what = f"shrink of {fit['instrument'] or 'all'}"
        truth, p, folds = (case.truth[samples], mean[samples],
                           case.folds[samples])
        same(f"{what} constant", fit["constant"], best_constant(truth, p), 1e-6)
        same(f"{what} log loss", fit["log_loss"],
             loss(truth, shrink(p, case.constants[samples][:, None])))
        if len(np.unique(folds)) < 2:
            same(f"{what} nested", fit["nested"], np.nan)
            continue
        shrunk = np.empty_like(p)
        for fold in np.unique(folds):
            own = folds == fold
            shrunk[own] = shrink(p[own],
                                 best_constant(truth[~own], p[~own]))
        same(f"{what} nested", fit["nested"], loss(truth, shrunk), 1e-8)


def check_weightings(case, got, mean):
    plain = loss(case.truth, shrink(mean, C))
    counts = draws_of(len(case.truth))
    fits = {
        "equal": lambda t, p, prior: np.full(len(p), 1 / len(p)),
        "greedy": lambda t, p, prior: np.bincount(
            [step[0] for step in greedy(case, t, p, prior, True)],
            minlength=len(p)),
        "least log loss": lambda t, p, prior: least_log_loss(t, p),
    }
    for weighting in got:
        name = weighting["name"]
        fit = fits[name]
        weights = np.asarray(fit(case.truth, case.p, case.prior), dtype=float)
        same(f"{name} weights", weighting["weights"], weights / weights.sum(),
             1e-3)
        same(f"{name} log loss", weighting["log_loss"],
             loss(case.truth, shrink(case.mean(weights), C)), 1e-7)
        if len(np.unique(case.folds)) < 2:
            if name != "equal":
                same(f"{name} nested", weighting["nested"], np.nan)
            continue
        nested = np.empty_like(mean)
        for fold in np.unique(case.folds):
            own = case.folds == fold
            weights = fit(*case.part(~own))
            nested[own] = case.mean(weights, case.p[:, own], case.prior[own])
        # Where the minimum is flat, EM's weights are near ones only.
        tolerance = 1e-5 if name == "least log loss" else 1e-9
        same(f"{name} nested", weighting["nested"],
             loss(case.truth, shrink(nested, C)), tolerance)
        same(f"{name} gain", weighting["gain"],
             plain - loss(case.truth, shrink(nested, C)), tolerance)
        change = losses(case.truth, shrink(mean, C)) - losses(
            case.truth, shrink(nested, C))
        same(f"{name} gain interval", weighting["gain_interval"],
             mean_interval(change, counts), 10 * tolerance)


def check_case(name, raw):
    case = Case(raw)
    got = raw["figures"]
    mean = np.full_like(case.truth, np.nan)
    mean[:, case.predicted] = np.nanmean(case.p[:, :, case.predicted], axis=0)
    for index, model in enumerate(got["models"]):
        p = case.p[index]
        what = f"{name} model {index}"
        check_scores(what, model["scores"], case.truth, p, case.constants,
                     rank_draws=False)
        same(f"{what} folds", model["folds"], [
            loss(case.truth[case.folds == fold],
                 shrink(p[case.folds == fold], C))
            for fold in np.unique(case.folds)
        ])
        for label in model["labels"]:
            column = label["label"]
            same(f"{what} label {column}", label["log_loss"],
                 loss(case.truth[:, column], shrink(p[:, column], C)))
            same(f"{what} label {column} AUC", label["auc"],
                 rank_scores(case.truth[:, [column]], p[:, [column]])[0])
        for other, r in enumerate(model["correlations"]):
            both = ~np.isnan(p) & ~np.isnan(case.p[other])
            expected = np.corrcoef(p[both],
                                   case.p[other][both])[0, 1] if both.any() else 0
            same(f"{what} correlation with {other}", r, expected)
        both = ~np.isnan(p)
        same(f"{what} correlation with the mean", model["correlation"],
             np.corrcoef(p[both], mean[both])[0, 1])
    check_scores(f"{name} ensemble", got["ensemble"], case.truth, mean,
                 case.constants, rank_draws=True)
    check_scores(f"{name} prior", got["prior"], case.truth, case.prior,
                 case.constants, rank_draws=False)
    for instrument in got["instruments"]:
        own = case.instruments == instrument["instrument"]
        check_scores(f"{name} {instrument['instrument']}", instrument["scores"],
                     case.truth[own], mean[own], case.constants[own],
                     rank_draws=own.sum() < len(own) / 2)
    check_steps(f"{name} growth", got["growth"],
                greedy(case, case.truth, case.p, case.prior, False))
    check_steps(f"{name} growth with replacement",
                got["growth_with_replacement"],
                greedy(case, case.truth, case.p, case.prior, True))
    check_steps(f"{name} elimination", got["elimination"], eliminate(case))
    for count, log_loss_at in got["tta"]:
        first = case.draws[:, :count].mean(axis=1)
        with np.errstate(invalid="ignore"):
            all_models = np.full_like(case.truth, np.nan)
            all_models[:, case.predicted] = np.nanmean(
                first[:, :, case.predicted], axis=0)
        same(f"{name} {count} draws", log_loss_at,
             loss(case.truth, shrink(all_models, C)))
    check_shrink(case, got["shrink"], mean)
    check_weightings(case, got["weightings"], mean)


def main():
    with open(sys.argv[1]) as file:
        cases = json.load(file)
    for name, case in cases.items():
        check_case(name, case)
    for difference in differences:
        print(difference)
    print(f"{compared} figures compared, {len(differences)} differ")
    return 1 if differences or compared == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
