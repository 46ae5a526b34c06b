"""SciPy's functions come without NumPy's compilers and test tools, and NumPy stays whole."""

from __future__ import annotations

import subprocess
import sys

TOLD = """
import sys
import numpy
import tenure_agent.daemon
heavy = {"numpy.f2py", "numpy.testing", "numpy.polynomial", "unittest"} & set(sys.modules)
assert not heavy, heavy
assert {"random", "testing", "f2py"} <= set(dir(numpy)) & set(numpy.__all__)
assert numpy.random.default_rng(7).random() < 1
assert numpy.polynomial.Polynomial([1, 2])(1) == 3
from scipy import special, stats
assert special.stdtr(3, 1.5) == tenure_agent.special.stdtr(3, 1.5)
assert stats.norm.cdf(0) == 0.5
"""


def test_only_what_is_asked_for_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", TOLD], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
