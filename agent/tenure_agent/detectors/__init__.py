"""Detectors: pure functions of a reference and a summary, vectorised over columns. Each is one file."""

from __future__ import annotations

import numpy as np

from tenure_agent.detectors.chi_squared import CHI_SQUARED
from tenure_agent.detectors.detector import Detector, Measurement
from tenure_agent.detectors.g_test import G_TEST
from tenure_agent.detectors.jensen_shannon import JENSEN_SHANNON
from tenure_agent.detectors.ks import KS
from tenure_agent.detectors.mean_shift import MEAN_SHIFT
from tenure_agent.detectors.missing import MISSING
from tenure_agent.detectors.new_category import NEW_CATEGORY
from tenure_agent.detectors.out_of_range import OUT_OF_RANGE
from tenure_agent.detectors.point_mass import POINT_MASS
from tenure_agent.detectors.psi import PSI
from tenure_agent.detectors.scale import SCALE
from tenure_agent.detectors.type_change import TYPE_CHANGE
from tenure_agent.detectors.vanished_category import VANISHED_CATEGORY
from tenure_agent.detectors.wasserstein import WASSERSTEIN
from tenure_agent.reference import Reference
from tenure_agent.summary import Summary

_ALL = (
    *(KS, PSI, CHI_SQUARED, G_TEST, JENSEN_SHANNON, WASSERSTEIN, MEAN_SHIFT, MISSING, TYPE_CHANGE),
    *(NEW_CATEGORY, VANISHED_CATEGORY, OUT_OF_RANGE, POINT_MASS, SCALE),
)
DETECTORS: dict[str, Detector] = {detector.name: detector for detector in _ALL}


def measure_all(
    reference: Reference, summary: Summary, detectors: dict[str, Detector] = DETECTORS
) -> dict[str, Measurement]:
    """What each detector finds; one that raises says of which columns and why, and takes no other with it."""
    found = {}
    for name, detector in detectors.items():
        try:
            found[name] = detector.measure(reference, summary)
        except Exception:  # noqa: BLE001  # a fault of one detector is a finding about it
            found[name] = _one_by_one(detector, reference, summary)
    return found


def _one_by_one(detector: Detector, reference: Reference, summary: Summary) -> Measurement:
    """Each column by itself: those at fault keep no other from being measured."""
    statistic, p_value = np.full((2, len(reference.layout)), np.nan)
    faults = {}
    for column in range(len(reference.layout)):
        try:
            alone = detector.measure(reference.only(column), summary.only(column, reference.layout))
        except Exception as error:  # noqa: BLE001
            faults[column] = f"{type(error).__name__}: {error}"
        else:
            statistic[column], p_value[column] = alone.statistic[0], alone.p_value[0]
    return Measurement(statistic, p_value, faults)


__all__ = ["DETECTORS", "Detector", "Measurement", "measure_all"]
