"""Other libraries on the same rows: run by the Python of an environment of their own, on arrays that lie in a folder.

`python peers.py NAME FOLDER` prints the seconds that `NAME` took on `reference.npy` and `current.npy`, both (rows, columns)
and in memory by then.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def scipy(reference: Any, current: Any) -> Callable[[], object]:
    stats = importlib.import_module("scipy.stats")
    return lambda: [stats.ks_2samp(reference[:, i], current[:, i]) for i in range(reference.shape[1])]


def whylogs(_: Any, current: Any) -> Callable[[], object]:
    library = importlib.import_module("whylogs")
    rows = _frame(current)
    return lambda: library.log(rows).view()


def nannyml(reference: Any, current: Any) -> Callable[[], object]:
    library = importlib.import_module("nannyml")
    first, second = _frame(reference), _frame(current)
    methods = ["kolmogorov_smirnov", "jensen_shannon"]
    calculator = library.UnivariateDriftCalculator(list(first), continuous_methods=methods, chunk_number=1).fit(first)
    return lambda: calculator.calculate(second)


def alibi(reference: Any, current: Any) -> Callable[[], object]:
    detector = importlib.import_module("alibi_detect.cd.ks").KSDrift(reference, p_val=0.05)
    return lambda: detector.predict(current)


def evidently_ks(reference: Any, current: Any) -> Callable[[], object]:
    return _evidently(reference, current, "ks")


def evidently_psi(reference: Any, current: Any) -> Callable[[], object]:
    return _evidently(reference, current, "psi")


def evidently(reference: Any, current: Any) -> Callable[[], object]:
    return _evidently(reference, current, None)


def _evidently(reference: Any, current: Any, method: str | None) -> Callable[[], object]:
    library, presets = importlib.import_module("evidently"), importlib.import_module("evidently.presets")
    report = library.Report([presets.DataDriftPreset(method=method)])
    first, second = _frame(reference), _frame(current)
    return lambda: report.run(second, first)


def scouter(reference: Any, current: Any) -> Callable[[], object]:
    library = importlib.import_module("scouter.drift")
    drifter, config = library.Drifter(), library.PsiDriftConfig(space="bench", name="bench", version="0.1.0")
    profile = drifter.create_drift_profile(reference, config)
    return lambda: drifter.compute_drift(current, profile)


def _frame(values: Any) -> Any:
    pandas = importlib.import_module("pandas")
    return pandas.DataFrame(values, columns=[f"n{i}" for i in range(values.shape[1])])


PEERS = (scipy, nannyml, alibi, evidently_ks, evidently_psi, evidently, whylogs, scouter)


def main() -> None:
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[2])
    arrays = [np.load(folder / f"{name}.npy") for name in ("reference", "current")]
    chosen = next(peer for peer in PEERS if peer.__name__ == sys.argv[1])
    run = chosen(*arrays)
    started = time.perf_counter()
    run()
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
