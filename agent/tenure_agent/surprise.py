"""Is a window more than this version's data do by themselves?

Per column, how far the window lies from the reference and from the recent past, whichever is nearer, over what the
reference's own windows and the live ones so far have shown; and whether its newest part still lies there. The recipe is
that of DESIGN §4; what it misses it says: a column that moves so much by itself that nothing could surprise is named.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tenure_agent.bins import Array
from tenure_agent.coarse import Coarse
from tenure_agent.detectors.jensen_shannon import distances_of
from tenure_agent.null import GONE, Null
from tenure_agent.past import LONGEST, MEMORY, SHORTEST, WINDOW, Past, Step
from tenure_agent.readings import missing_moves, stretched, unstretched

MOVED_FLOOR, MISSING_FLOOR, TOGETHER_FLOOR = 0.15, 0.10, 0.08  # below these a move does not matter
TOGETHER_MARGIN = 0.5  # of a column's margin: a mean over columns moves less by itself
ABSENT_MARGIN = 2.0
BLIND = 0.9  # a column that would have to move further than this cannot be judged
OPEN_AFTER, OPEN_OF, CLOSE_AFTER = 8, 9, 5  # blocks
QUIET = 0.7
UNCERTAIN = 0.99


@dataclass(frozen=True, slots=True)
class Surprise:
    """What a window shows.

    Parameters
    ----------
    moved, missing, moved_newest, missing_newest, absent, together
        The readings; see `tenure_agent.past.Step`.
    columns
        float64 (columns): each column's score; 1 and more is a surprise.
    needed
        float64 (columns) in [0, 1]: the distance a column would have to move.
    all_of_them
        The score of all columns together.
    """

    moved: Array
    missing: Array
    moved_newest: Array
    missing_newest: Array
    absent: Array
    together: Array
    columns: Array
    needed: Array
    all_of_them: float

    @property
    def blind(self) -> Array:
        """bool (columns): which cannot be judged."""
        return self.needed > BLIND

    @property
    def score(self) -> float:
        """The largest there is."""
        return max(float(self.columns.max(initial=0.0)), self.all_of_them)

    def only(self, significant: Array) -> Surprise:
        """Columns that do not differ beyond chance are no surprise, nor are all together where none does."""
        together = self.all_of_them if significant.any() else min(self.all_of_them, UNCERTAIN)
        columns = np.where(significant, self.columns, np.minimum(self.columns, UNCERTAIN))
        return replace(self, columns=columns, all_of_them=together)

    def step(self, block: int, counts: Array, critical: bool) -> Step:
        """What is to be remembered of it."""
        return Step(
            block,
            counts,
            self.moved,
            self.missing,
            self.moved_newest,
            self.missing_newest,
            self.absent,
            self.together,
            self.score,
            critical,
        )


def surprise(
    window: Array, newest: Array, block: Array, reference: Array, coarse: Coarse, null: Null, past: Past, margin: float
) -> Surprise:
    """
    Parameters
    ----------
    window, newest, block, reference
        int64 (coarse bins): rows of the window, of its newest part, of its newest block, of the reference.
    margin
        How many times its own movement a column must move; see `margin_of`.

    Notes
    -----
    With A the lesser of the Jensen-Shannon distances to the reference and to the recent past, N the largest such reading
    among the reference's own windows and L among live ones more than three windows old, g(x) = x/√(1-x²): a column scores
    g(A)/max(margin·g(max(N, L)), 0.15), but no more than its newest part does at margin 1. The share of missing values
    likewise (floor 0.10); a run of blocks without a value over twice the longest known; and the mean of A over all
    columns, at half the margin (floor 0.08), its newest part likewise.
    """
    share = float(window.sum()) / WINDOW / max(float(reference.sum()), 1.0)  # of the reference's rows, a block
    length = min(max(round(1 / max(share, 1e-9)), SHORTEST), LONGEST)
    recent = past.recent(length, reference * share)
    both, against = coarse.shares(np.stack([window, newest]))[:, None], coarse.shares(np.stack([reference, recent]))
    moved, moved_newest = distances_of(both, against, coarse).min(1)
    missing, missing_newest = missing_moves(both, against, coarse).min(1)
    gone = coarse.shares(block)[coarse.missing] >= GONE
    absent = np.where(coarse.sums(block) > 0, (past.absent + 1) * gone, past.absent)  # without rows, nobody knows
    together = np.array([one.mean() if len(one) else 0.0 for one in (moved, moved_newest)])
    learnt, learnt_together = past.learnt(MEMORY * length)
    bar = np.maximum(margin * stretched(np.maximum(null.moved, learnt[0])), MOVED_FLOOR)
    scores = np.minimum(
        stretched(moved) / bar,
        stretched(moved_newest) / np.maximum(stretched(np.maximum(null.moved_newest, learnt[2])), MOVED_FLOOR),
    )
    holes = np.minimum(
        stretched(missing) / np.maximum(margin * stretched(np.maximum(null.missing, learnt[1])), MISSING_FLOOR),
        stretched(missing_newest) / np.maximum(stretched(np.maximum(null.missing_newest, learnt[3])), MISSING_FLOOR),
    )
    per_block = max(float(window.sum()) / max(len(coarse), 1) / WINDOW, 1.0)
    runs = absent / np.maximum(ABSENT_MARGIN * np.maximum(null.absent / per_block, learnt[4]), WINDOW)
    columns = np.maximum.reduce([scores, holes, runs])
    own_together = np.maximum(null.together, learnt_together) * np.array([TOGETHER_MARGIN * margin, 1.0])
    all_of_them = float((together / np.maximum(own_together, TOGETHER_FLOOR)).min())
    return Surprise(
        moved, missing, moved_newest, missing_newest, absent, together, columns, unstretched(bar), all_of_them
    )


def episode(scores: Sequence[float], before: bool) -> bool:
    """Whether an episode is open, from the scores of the newest blocks (oldest first) and whether it was before.

    It opens when 8 of the last 9 blocks surprise: what passes within most of a window is not worth a call. It closes
    after 5 quiet ones in a row, because the level is known by then, not because it went back.
    """
    if not before:
        return sum(score >= 1 for score in scores[-OPEN_OF:]) >= OPEN_AFTER
    tail = scores[-CLOSE_AFTER:]
    return not (len(tail) == CLOSE_AFTER and all(score < QUIET for score in tail))


def margin_of(windows: float) -> float:
    """How many times its own movement a column must move, for at most one false episode in so many windows.

    On block bootstraps of six real streams (7,200 to 14,400 windows for each margin) one false episode came in 28, 306,
    1,600 and 2,880 windows at margins 1.5, 2, 2.5 and 3 on average, and in 24, 160, 480 and 800 on the worst of the six.
    """
    return min(max(math.log10(max(windows, 1.0)) + 0.1, 1.5), 3.5)
