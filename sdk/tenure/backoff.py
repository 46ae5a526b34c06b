"""How long the sender waits after a failure: full jitter, so that the senders of many hosts do not come back at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

FIRST, MOST = 0.1, 5.0  # seconds


class Backoff:
    """Pauses between 0 and a bound that doubles with every failure.

    Parameters
    ----------
    rng
        Where the jitter comes from; None: of its own.
    """

    def __init__(self, rng: Random | None) -> None:
        self._rng = rng

    def seconds(self, failures: int) -> float:
        """How long to wait after that many failures in a row."""
        if self._rng is None:
            from random import Random  # noqa: PLC0415  # what the sender can import is no cost to the host's import

            self._rng = Random()  # noqa: S311  # jitter, not a secret
        return self._rng.uniform(0, min(MOST, FIRST * 2 ** min(failures, 10)))
