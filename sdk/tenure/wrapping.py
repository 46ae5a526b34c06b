"""Wrapped models: what stands around an object with predict, predict_proba or __call__.

A wrapped model is a stand-in that hands everything on to the model itself: attributes, items, repr, isinstance. Copied,
cloned or pickled it is the plain model again, so nothing that is stored depends on Tenure.

predict and predict_proba called one after the other on the same rows are one case: the first call is recorded with its
output, the second adds no record. Call predict_proba first, or only, where its scores are to be kept.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar, cast

from tenure import current
from tenure.answer import Answer
from tenure.capture import OPEN, PLAIN, Tick
from tenure.features import Rows
from tenure.signature import Binding, Identify
from tenure.watch import Call, Watch

VERBS = ("predict", "predict_proba", "__call__")
RETURN_THE_MODEL = frozenset({"fit", "partial_fit", "set_params"})
MOST_CELLS = 100_000  # a larger table is not kept to be compared: then the same object is the same rows
OWN_SPECIALS = frozenset(vars(object)) - {"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__str__", "__format__"} | {
    "__call__", "__copy__", "__deepcopy__", "__del__", "__delattr__", "__dict__", "__getattr__", "__setstate__",
    "__class_getitem__", "__slots__", "__weakref__",
}  # fmt: skip

M = TypeVar("M")
Watching = Callable[[Callable[..., Any]], tuple[Watch, Binding]]


class Case(NamedTuple):
    """The newest recorded call of a wrapped model in this thread or task."""

    model: int
    verb: str
    mark: Tick
    value: Any  # its rows; None where they are too many to be kept
    given: Any  # a weak reference to the argument that held them


_newest: ContextVar[Case | None] = ContextVar("tenure_case", default=None)


class Wrapped:
    """Stands for a model and watches its verbs."""

    __slots__ = ("__weakref__", "_tenure_model", "_tenure_verbs", "_tenure_watching")

    def __init__(self, model: Any, watching: Watching) -> None:
        object.__setattr__(self, "_tenure_model", model)
        object.__setattr__(self, "_tenure_watching", watching)
        object.__setattr__(self, "_tenure_verbs", {})

    def __getattr__(self, name: str) -> Any:
        model = self._tenure_model
        found = getattr(model, name)
        if name in VERBS and callable(found):
            known = self._tenure_verbs.get(name)
            if known is None or known[0] != found:  # looked up again each time: it may be set anew
                known = self._tenure_verbs[name] = (found, _watched(model, name, found, self._tenure_watching))
            return known[1]
        return _returning(self, model, found) if name in RETURN_THE_MODEL and callable(found) else found

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._tenure_model, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._tenure_model, name)

    def __dir__(self) -> list[str]:
        return dir(self._tenure_model)

    def __repr__(self) -> str:
        return repr(self._tenure_model)

    def __reduce__(self) -> Any:
        return self._tenure_model.__reduce__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self._tenure_model.__reduce_ex__(protocol)

    def __getstate__(self) -> Any:
        return self._tenure_model.__getstate__()


def wrapped(model: M, watch: Callable[[Binding], Watch], id: Identify, time: str | None) -> M:
    """A stand-in for `model` whose verbs are watched.

    Parameters
    ----------
    watch
        Makes the watch of one function from how its arguments are read.
    id, time
        Names that hold the prediction's id and event time.
    """

    def watching(function: Callable[..., Any]) -> tuple[Watch, Binding]:
        binding = Binding(function, id, time)
        return watch(binding), binding

    kind: Any = type(model)
    found: Any = _stand_in(kind)(model, watching)
    return cast("M", found)


@functools.lru_cache(maxsize=256)
def _stand_in(kind: Any) -> type[Wrapped]:
    """A class with the special methods of `kind`: Python looks these up on the class, never on the object."""
    members: dict[str, Any] = {
        "__slots__": (),
        "__module__": kind.__module__,
        "__doc__": kind.__doc__,
        "__class__": property(lambda _: kind),
    }
    for base in kind.__mro__[:-1]:
        for name, value in vars(base).items():
            if name.startswith("__") and name.endswith("__") and name not in OWN_SPECIALS and callable(value):
                members.setdefault(name, _handed_on(name))
    if callable(getattr(kind, "__call__", None)):  # noqa: B004  # the class's own, not its metaclass's
        members["__call__"] = lambda self, *args, **kwargs: Wrapped.__getattr__(self, "__call__")(*args, **kwargs)
    if kind.__hash__ is None:
        members["__hash__"] = None
    elif kind.__hash__ is not object.__hash__:
        members["__hash__"] = lambda self: hash(self._tenure_model)
    return type(kind.__name__, (Wrapped,), members)


def _handed_on(name: str) -> Callable[..., Any]:
    def special(self: Wrapped, *args: Any, **kwargs: Any) -> Any:
        model = self._tenure_model
        return getattr(type(model), name)(model, *args, **kwargs)

    special.__name__ = name
    return special


def _returning(stand_in: Wrapped, model: Any, method: Callable[..., Any]) -> Callable[..., Any]:
    """`fit` and the like return the model for chaining: then it stays watched."""

    @functools.wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        return stand_in if result is model else result

    return called


def _watched(model: Any, verb: str, method: Callable[..., Any], watching: Watching) -> Callable[..., Any]:
    watch, binding = watching(method)
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    tells = hasattr(model, "predict_proba") or hasattr(model, "get_params")  # scikit-learn's convention
    if verb == "__call__" or not tells or any(kind(method) for kind in kinds):
        return watch.wrap(method)

    @functools.wraps(method)
    def called(*args: Any, **kwargs: Any) -> Any:
        newest = current.newest.get()
        if newest[OPEN]:
            return method(*args, **kwargs)
        if _again(model, verb, newest, binding, args, kwargs):
            newest[OPEN] = True  # what it calls in turn belongs to the same case
            try:
                return method(*args, **kwargs)
            finally:
                newest[OPEN] = False
        call = watch.begin(args, kwargs)
        try:
            output = method(*args, **kwargs)
        except BaseException as error:
            watch.end(call, None, type(error).__name__)
            raise
        if call is not None:
            with suppress(Exception):  # then the other verb is a case of its own
                _newest.set(_case(id(model), verb, call, args, kwargs))
        watch.end(call, _answer(model, verb, output))
        return output

    return called


def _again(
    model: Any, verb: str, newest: Tick, binding: Binding, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> bool:
    """Whether the other verb was the context's newest watched call, on the same rows."""
    case = _newest.get()
    if case is None:
        return False
    _newest.set(None)
    if case.model != id(model) or case.mark is not newest or case.verb == verb:
        return False
    try:
        return _holds(case, binding, args, kwargs)
    except Exception:  # noqa: BLE001  # rows that cannot be compared are not the same
        return False


def _answer(model: Any, verb: str, output: Any) -> Any:
    """The output with what the verb says of it: `predict_proba` gives probabilities, of the model's classes."""
    if type(output) in PLAIN:
        return output
    classes = None
    if verb == "predict_proba":
        with suppress(Exception):
            classes = getattr(model, "classes_", None)
    return Answer(output, verb == "predict_proba", classes)


def _case(model: int, verb: str, call: Call, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Case:
    value: Any = call.value
    if isinstance(value, Rows):
        shape = getattr(value.table, "shape", (value.count, 10))
        value = value.table if value.count * shape[-1] <= MOST_CELLS else None
    given = args[0] if args else next(iter(kwargs.values()), None)
    try:
        reference = weakref.ref(given)
    except TypeError:  # lists and dicts take none
        return Case(model, verb, call.mark, value, None)
    return Case(model, verb, call.mark, value, reference)


def _holds(case: Case, binding: Binding, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    if case.value is None:
        given = args[0] if args else next(iter(kwargs.values()), None)
        return given is not None and case.given is not None and case.given() is given
    value: Any = binding.snapshot(args, kwargs)
    if isinstance(value, dict):
        return bool({k: v for k, v in value.items() if k not in {binding.id, binding.time}} == case.value)
    return _same(case.value, value.table)


def _same(one: Any, other: Any) -> bool:
    if type(one) is not type(other):
        return False
    if hasattr(one, "equals"):  # a frame or Arrow table: what is missing in both is equal
        return bool(one.equals(other))
    if hasattr(one, "tobytes"):
        return (one.shape, one.dtype) == (other.shape, other.dtype) and bool(one.tobytes() == other.tobytes())
    return isinstance(one, list) and bool(one == other)
