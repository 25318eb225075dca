#!/usr/bin/env python3
"""Fits the detectors of reversed limb electrodes of src/ecg/electrodes.rs, and prints their weights as a Rust table.

usage: electrodes.py PTBXL        (needs numpy, scikit-learn and wfdb; PTB-XL at 100 Hz)

Two logistic regressions, one per exchange of electrodes, on folds 1 to 8 as recorded (negative) and with the exchange
made in the numbers (positive). The features are the rows of `features`, standardised. The constant is set so that three
of a thousand training records as recorded are above zero. Fold 9 is for the test.
"""
import sys
import numpy as np, pandas as pd, wfdb
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

RECORDED = [0, 1, 6, 7, 8, 9, 10, 11]  # I, II, V1 to V6 of PTB-XL's twelve


def load(folder, folds):
    table = pd.read_csv(f"{folder}/ptbxl_database.csv")
    names = table[table.strat_fold.isin(folds)].filename_lr
    return np.array([wfdb.rdrecord(f"{folder}/{name}").p_signal.T[RECORDED] for name in names])


def exchanged(x, electrodes):
    y, (i, ii) = x.copy(), (x[:, 0], x[:, 1])
    if electrodes == "LA/RA":
        y[:, 0], y[:, 1] = -i, ii - i
    else:  # RA/LL
        y[:, 0], y[:, 1] = i - ii, -ii
    return y


def features(x):
    """Correlations of I with II and V1 to V6, of II with V1 to V6, then the compressed skewness of all eight leads."""
    x = x - x.mean(-1, keepdims=True)
    deviation = np.sqrt((x**2).mean(-1)) + 1e-3
    correlation = np.einsum("nit,njt->nij", x[:, :2], x) / x.shape[-1] / (deviation[:, :2, None] * deviation[:, None])
    skewness = (x**3).mean(-1) / deviation**3
    return np.concatenate([correlation[:, 0, 1:], correlation[:, 1, 2:], np.tanh(skewness / 5)], 1)


def main():
    folder = sys.argv[1]
    training, test = load(folder, range(1, 9)), load(folder, [9])
    alarms = []
    for electrodes in "LA/RA", "RA/LL":
        as_recorded, wrong = features(training), features(exchanged(training, electrodes))
        x, y = np.concatenate([as_recorded, wrong]), np.repeat([0, 1], len(training))
        scaler = StandardScaler().fit(x)
        model = LogisticRegression(max_iter=500).fit(scaler.transform(x), y)
        weights = model.coef_[0] / scaler.scale_
        constant = -np.quantile(as_recorded @ weights, 0.997)
        above = lambda x: features(x) @ weights + constant > 0
        alarms.append(above(test))
        print(f"// {electrodes}: fold 9: {alarms[-1].mean():.4f} false, {above(exchanged(test, electrodes)).mean():.4f} found")
        print("[", ", ".join(f"{w:.4}" for w in [*weights, constant]), "],")
    print(f"// fold 9: {(alarms[0] | alarms[1]).mean():.4f} of the records as recorded raise either")


main()
