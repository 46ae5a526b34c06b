"""Forks of the host: senders are stopped before, so that no child inherits a call on its way, and start again after."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Protocol


class Forked(Protocol):
    """What has to be told of a fork."""

    def before_fork(self) -> None: ...
    def after_fork_in_parent(self) -> None: ...
    def after_fork_in_child(self) -> None: ...


_told: weakref.WeakSet[Forked] = weakref.WeakSet()


def register(one: Forked) -> None:
    """Tell `one` of every fork for as long as it lives."""
    _told.add(one)


def _each(action: Callable[[Forked], None]) -> Callable[[], None]:
    def run() -> None:
        for one in list(_told):
            action(one)

    return run


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_each(lambda one: one.before_fork()),
        after_in_parent=_each(lambda one: one.after_fork_in_parent()),
        after_in_child=_each(lambda one: one.after_fork_in_child()),
    )
