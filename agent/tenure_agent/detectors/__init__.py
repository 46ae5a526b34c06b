"""Detectors: pure functions of a reference and a summary, vectorised over columns. Each is one file."""

from tenure_agent.detectors.detector import Detector, Measurement
from tenure_agent.detectors.ks import kolmogorov_smirnov
from tenure_agent.detectors.psi import population_stability_index

DETECTORS: dict[str, Detector] = {"ks": kolmogorov_smirnov, "psi": population_stability_index}

__all__ = ["DETECTORS", "Detector", "Measurement", "kolmogorov_smirnov", "population_stability_index"]
