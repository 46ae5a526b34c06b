"""SciPy's special functions, without what they would bring along: 18 of 28 MB.

SciPy copies NumPy's namespace when it is imported, and so loads what NumPy loads only when it is asked for: its Fortran
compiler, test tools, polynomials, masked arrays. Here it sees what is loaded already.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

__all__ = ["betainc", "chdtrc", "chdtri", "kolmogorov", "ndtr", "ndtri", "stdtr", "stdtrit", "xlog1py", "xlogy"]


@contextmanager
def _loaded_only() -> Iterator[None]:
    names, listing = np.__all__, np.__dir__
    loaded = vars(np).keys()
    np.__all__ = [name for name in names if name in loaded]
    np.__dir__ = lambda: [name for name in listing() if name in loaded]  # type: ignore[method-assign]
    try:
        yield
    finally:
        np.__all__, np.__dir__ = names, listing  # type: ignore[method-assign]


with _loaded_only():
    from scipy.special import betainc, chdtrc, chdtri, kolmogorov, ndtr, ndtri, stdtr, stdtrit, xlog1py, xlogy
