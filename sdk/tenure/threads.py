"""The interpreter's own threads and locks, also where gevent has put greenlets in their place.

A sender that were a greenlet would hold up all others: a call of gRPC's blocks the thread it is made in.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import TypeVar

T = TypeVar("T")
_copy: ModuleType | None = None


def real() -> ModuleType:
    """The module `threading`, as it is without gevent."""
    global _copy  # noqa: PLW0603
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return threading
    if _copy is None:
        _copy = _unpatched(monkey)
    return _copy


def aside(wait: Callable[[], T]) -> T:
    """What `wait` returns; under gevent in a thread of its pool, so that the other greenlets go on meanwhile."""
    if real() is threading:
        return wait()
    found: T = sys.modules["gevent"].get_hub().threadpool.apply(wait)
    return found


def _unpatched(monkey: ModuleType) -> ModuleType:
    """A second `threading`, on the `_thread` that gevent found: patched classes cannot be had back one by one."""
    import importlib.util  # noqa: PLC0415  # only ever needed beside gevent

    patched = sys.modules["_thread"]
    found = ModuleType("_thread")
    vars(found).update({name: monkey.get_original("_thread", name) for name in dir(patched)})
    spec = importlib.util.find_spec("threading")
    assert spec is not None  # noqa: S101
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules["_thread"] = found
    try:
        spec.loader.exec_module(module)
    finally:
        sys.modules["_thread"] = patched
    return module
