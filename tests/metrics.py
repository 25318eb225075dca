#!/usr/bin/env python3
"""Writes tests/data/metrics.json: made-up probabilities and labels, and what scikit-learn computes from them.

    tests/metrics.py > tests/data/metrics.json        # needs numpy and scikit-learn; 1.9.1 wrote the file
"""
import json, warnings
import numpy as np
from sklearn import metrics as m

warnings.filterwarnings("ignore")
random = np.random.default_rng(7)
RECORDS, CLASSES = 160, 5
labels = (random.random((RECORDS, CLASSES)) < [0.5, 0.3, 0.2, 0.05, 0.0]).astype(int)
# Rounded, so that there are ties.
probabilities = np.round(1 / (1 + np.exp(-(random.normal(size=(RECORDS, CLASSES)) + 2 * labels - 1))), 2)
thresholds = np.array([0.5, 0.4, 0.3, 0.2, 0.5])
decided = (probabilities >= thresholds).astype(int)


def sample_centric_f1(threshold):
    given = probabilities >= threshold
    right = (given & (labels == 1)).sum(1)
    some, positive = given.sum(1) > 0, labels.sum(1) > 0
    precision = (right[some] / given.sum(1)[some]).mean() if some.any() else 0.0
    recall = (right[positive] / labels.sum(1)[positive]).mean()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def prf(average):
    p, r, f, s = m.precision_recall_fscore_support(labels, decided, average=average, zero_division=0)
    return {"precision": np.asarray(p).tolist(), "recall": np.asarray(r).tolist(), "f1": np.asarray(f).tolist(),
            "support": None if s is None else s.tolist()}


def specificity(c):
    tn, fp, fn, tp = m.confusion_matrix(labels[:, c], decided[:, c], labels=[0, 1]).ravel()
    return tn / (tn + fp)


def calibration_error(c):
    edges = np.digitize(probabilities[:, c], np.linspace(0, 1, 11)[1:-1], right=True)
    bins = [edges == b for b in range(10)]
    return sum(b.sum() * abs(probabilities[b, c].mean() - labels[b, c].mean()) for b in bins if b.any()) / RECORDS


both = range(CLASSES - 1)
weights = random.integers(0, 4, RECORDS)
print(json.dumps({
    "classes": CLASSES,
    "probabilities": probabilities.ravel().tolist(),
    "labels": labels.ravel().tolist(),
    "thresholds": thresholds.tolist(),
    "weights": weights.tolist(),
    "auroc": [m.roc_auc_score(labels[:, c], probabilities[:, c]) for c in both],
    "average_precision": [m.average_precision_score(labels[:, c], probabilities[:, c]) for c in both],
    "weighted_auroc": [m.roc_auc_score(labels[:, c], probabilities[:, c], sample_weight=weights) for c in both],
    "weighted_average_precision":
        [m.average_precision_score(labels[:, c], probabilities[:, c], sample_weight=weights) for c in both],
    "by_class": prf(None), "macro": prf("macro"), "micro": prf("micro"),
    "specificity": [specificity(c) for c in range(CLASSES)],
    "exact_match_accuracy": m.accuracy_score(labels, decided),
    "per_label_accuracy": 1 - m.hamming_loss(labels, decided),
    "brier": [m.brier_score_loss(labels[:, c], probabilities[:, c], pos_label=1) for c in both],
    "expected_calibration_error": [calibration_error(c) for c in range(CLASSES)],
    "fmax": max(sample_centric_f1(t) for t in np.unique(probabilities)),
}, indent=1))
