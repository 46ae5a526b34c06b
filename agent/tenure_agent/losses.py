"""What a wrong prediction costs, in [0, 1], and how that cost moves on its own in the reference.

Classification: 0/1 loss; binary with probabilities also the Brier loss (p - y)². Regression: min(1, |error| / scale),
scale being twice the 99 % quantile of |error| in the reference.

The variance of a mean of dependent losses is taken from batch means (Law & Carson 1979): the batch length b doubles
until neighbouring batch means are uncorrelated, and longer batches may only raise the estimate.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tenure_agent import special

Array = npt.NDArray[Any]

ZERO_ONE, BRIER, ABSOLUTE = "zero_one", "brier", "absolute"
MIN_BATCHES = 6
MIN_REFERENCE = 100
RAISE_QUANTILE = 0.1


@dataclass(frozen=True)
class LossProfile:
    """One loss channel of the reference.

    `variance` is that of one loss times the dependence: the mean of n losses has variance `variance` / n. `freedom`
    are its degrees of freedom, `batch` the rows after which losses no longer depend on each other.
    """

    channel: str
    mean: float
    variance: float
    batch: int
    freedom: int
    rows: int
    scale: float = 1.0


def task_of(predictions: Array, labels: Array) -> str:
    """The task, guessed from labelled predictions: text is multiclass; 0/1 labels are binary; else regression."""
    if labels.dtype.kind == "O" or predictions.dtype.kind == "O":
        return "multiclass"
    return "binary" if ((labels == 0.0) | (labels == 1.0)).all() else "regression"


def loss_values(channel: str, predictions: Array, labels: Array, scale: float = 1.0) -> Array:
    """Losses of one channel, one per row."""
    losses: Array
    if channel in {BRIER, ABSOLUTE}:
        with np.errstate(invalid="ignore", over="ignore"):
            off = predictions - labels
            losses = np.clip(off**2, 0.0, 1.0) if channel == BRIER else np.minimum(1.0, np.abs(off) / scale)
        losses[np.isnan(losses)] = 1.0  # both are infinite: no reason to look away from all others
    elif predictions.dtype.kind == "O" or labels.dtype.kind == "O":
        pairs = map(str, predictions.tolist()), map(str, labels.tolist())
        losses = np.fromiter(map(operator.ne, *pairs), bool, len(labels))
    else:
        losses = (predictions >= 0.5) != (labels >= 0.5)
    return losses.astype(float)


def channels_of(task: str, predictions: Array) -> tuple[str, ...]:
    """The channels of a task, the primary one first."""
    if task == "regression":
        return (ABSOLUTE,)
    if task == "binary" and predictions.dtype.kind == "f" and not np.isin(predictions, (0.0, 1.0)).all():
        return (ZERO_ONE, BRIER)
    return (ZERO_ONE,)


def profile_losses(task: str, predictions: Array, labels: Array) -> tuple[LossProfile, ...]:
    """The reference's loss channels; none where there are fewer than 100 labelled rows.

    Parameters
    ----------
    predictions, labels
        In the order the labels became known: dependence is read from it. Rows without either are left out before.
    """
    if len(labels) < MIN_REFERENCE:
        return ()
    scale = 1.0
    if task == "regression":
        scale = 2.0 * float(np.quantile(np.abs(predictions - labels), 0.99)) or 1.0
    profiles = []
    for channel in channels_of(task, predictions):
        losses = loss_values(channel, predictions, labels, scale)
        variance, batch, freedom = long_run_variance(losses)
        profiles.append(LossProfile(channel, float(losses.mean()), variance, batch, freedom, len(losses), scale))
    return tuple(profiles)


def long_run_variance(losses: Array) -> tuple[float, int, int]:
    """Variance of a dependent series' mean, times its length; the batch length; the degrees of freedom."""
    batch = 1
    while len(losses) // (2 * batch) >= MIN_BATCHES:
        means = _batch_means(losses, batch)
        if _lag_one(means) <= 2.0 / np.sqrt(len(means)):
            break
        batch *= 2
    means = _batch_means(losses, batch)
    freedom = len(means) - 1
    variance = batch * float(means.var(ddof=1))
    longer = 2 * batch
    while len(losses) // longer >= MIN_BATCHES:
        means = _batch_means(losses, longer)
        k = len(means)
        # Longer batches may raise the estimate only by what chance (the upper 10 % point of chi-squared) does not explain.
        floor = longer * float(means.var(ddof=1)) * (k - 1) / float(special.chdtri(k - 1, RAISE_QUANTILE))
        variance = max(variance, floor)
        longer *= 2
    return max(variance, 1e-12), batch, freedom


def _batch_means(losses: Array, batch: int) -> Array:
    k = len(losses) // batch
    means: Array = losses[: k * batch].reshape(k, batch).mean(1)
    return means


def _lag_one(means: Array) -> float:
    centred = means - means.mean()
    spread = float((centred**2).sum())
    return float((centred[1:] * centred[:-1]).sum()) / spread if spread > 0 else 0.0
