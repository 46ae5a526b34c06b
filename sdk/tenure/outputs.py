"""What predict returned for one row each, as columns: "prediction", "score" and "score.<class>", or the host's own names.

Values in, values out: encoding them is columns.py's. UNSUPPORTED stands where a value can be no output, so that it is
counted; the row is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tenure.answer import Answer
from tenure.capture import PLAIN, UNSUPPORTED, is_missing
from tenure.features import columns_of

if TYPE_CHECKING:
    from tenure.screen import Screen

PREDICTION, LABEL, SCORE = "prediction", "label", "score"
TOLERANCE = 0.02  # of a sum of probabilities: they often come rounded
ROUNDING = 1e-6


def row_outputs(outputs: Sequence[Any], screen: Screen | None = None) -> dict[str, Sequence[Any]]:
    """One output per row, as columns of one value per row.

    A mapping of numbers is class → score and predicts its highest-scoring class; so are (label, score) pairs and a Series
    labelled by class. One with a "prediction", "label" or "score", with a single entry, or with anything but numbers in
    it names its outputs. A vector of numbers is one of class probabilities where a wrapped `predict_proba` gave it, or
    where all in `outputs` are floats that add up to 1: of two the second is the prediction; of more it is the name or
    position of the largest. Else it is several outputs: "prediction.0", "prediction.1", … Texts are joined by commas.
    """
    if PLAIN.issuperset(map(type, outputs)):
        return {PREDICTION: outputs}
    answers = [output if isinstance(output, Answer) else Answer(output) for output in outputs]
    cores = [_readable(core_of, answer.value) for answer in answers]
    pairs = zip(cores, answers, strict=True)
    alike = distributed(core for core, answer in pairs if answer.probabilities is None and isinstance(core, list))
    columns: dict[str, Any] = {}
    for i, (core, answer) in enumerate(zip(cores, answers, strict=True)):
        probabilities = alike if answer.probabilities is None else answer.probabilities
        for name, value in _named(core, probabilities, answer.classes, screen).items():
            if name not in columns:
                columns[name] = [None] * len(outputs)
            columns[name][i] = value
    return {PREDICTION: columns.pop(PREDICTION), **columns} if PREDICTION in columns else columns


def _readable(read: Callable[[Any], Any], value: Any) -> Any:
    try:
        return read(value)
    except Exception:  # noqa: BLE001  # a host's object may raise anything when it is read
        return UNSUPPORTED


def core_of(value: Any) -> Any:
    """A scalar, a list of two scalars or more, or a mapping: what is alone in a list, array or frame stands for it."""
    if type(value) in PLAIN or isinstance(value, dict):
        return value
    if isinstance(value, frozenset):
        value = sorted(value)
    if hasattr(value, "columns") or hasattr(value, "column_names"):
        return {name: core_of(values) for name, values in columns_of(value).items()} if len(value) == 1 else UNSUPPORTED
    values = listed(value)
    if values is None:
        return value
    if len(values) < 2:
        return core_of(values[0]) if values else None
    index = getattr(value, "index", None)
    if index is not None and not callable(index) and all(isinstance(name, str) for name in index):
        return dict(zip(index, values, strict=True))  # a Series whose labels are names
    return _scored(values) or _scalars(values)


def listed(value: Any) -> list[Any] | None:
    """The values of a list, array, Series or column; None of what is no such thing."""
    if isinstance(value, list | tuple):
        return list(value)
    if hasattr(value, "toarray"):  # a sparse matrix
        value = value.toarray()
    if getattr(value, "ndim", None) == 0:
        return None
    if str(getattr(value, "dtype", "")).startswith(("datetime64", "timedelta64")):
        return list(value)  # tolist() may give them as numbers of a unit unknown
    method = next((name for name in ("tolist", "to_pylist", "to_list") if hasattr(value, name)), None)
    if method is None and not hasattr(value, "__array__"):
        return None
    found: Any = value.__array__().tolist() if method is None else getattr(value, method)()
    return found if isinstance(found, list) else None


def _scalars(values: list[Any]) -> Any:
    kept = [one if _is_scalar(one) else UNSUPPORTED for one in values]
    return kept if any(one is not UNSUPPORTED for one in kept) else UNSUPPORTED


def _is_scalar(value: Any) -> bool:
    return type(value) in PLAIN or isinstance(value, str) or not hasattr(value, "__len__")


def _scored(values: list[Any]) -> dict[str, Any] | None:
    """Class → score, from (label, score) pairs or mappings of a label and a score; the best one where a label repeats."""
    found: dict[str, float] = {}
    for one in values:
        pair = _pair([one.get(LABEL), one.get(SCORE)] if isinstance(one, dict) else one)
        if pair is None:
            return None
        label, score = pair
        found[label] = max(score, found.get(label, score))
    return found


def _pair(value: Any) -> tuple[str, float] | None:
    """A label and its score, in whichever order they came."""
    if not isinstance(value, list) or len(value) != 2:
        return None
    label, score = value if isinstance(value[0], str) else reversed(value)
    return (label, score) if isinstance(label, str) and _is_number(score) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _named(core: Any, probabilities: bool, classes: Any, screen: Screen | None) -> dict[str, Any]:
    if isinstance(core, dict):
        shown = core if screen is None else {name: value for name, value in core.items() if not hidden(screen, name)}
        return _of_mapping(shown)
    return _of_vector(core, probabilities, classes) if isinstance(core, list) else {PREDICTION: core}


def hidden(screen: Screen | None, name: str) -> bool:
    """Whether an output of the host's naming is left out before it could stand as the prediction.

    Redacted names are left out altogether, but for the prediction, which is redacted.
    """
    return screen is not None and (screen.hides(name) or (name != PREDICTION and screen.rule(name) is not None))


def _of_mapping(named: dict[str, Any]) -> dict[str, Any]:
    within = {name.partition(".")[2]: value for name, value in named.items() if name.startswith(f"{PREDICTION}.")}
    if PREDICTION in named or within:  # a prediction that is itself a mapping or vector
        own = (PREDICTION,) if PREDICTION in named else tuple(f"{PREDICTION}.{name}" for name in within)
        rest = {name: value for name, value in named.items() if name not in own}
        return _of_core(core_of(named.get(PREDICTION, within))) | _spread(rest)
    if not named:
        return {PREDICTION: None}
    if len(named) == 1:
        [(name, value)] = named.items()
        core = core_of(value)
        return {PREDICTION: core, name: core} if _is_scalar(core) else _of_core(core)
    if LABEL not in named and SCORE not in named and _are_scores(named.values()):
        return _class_scores(list(named.values()), list(named), binary=False)
    plain = [name for name, value in named.items() if _is_scalar(value)]
    chosen = next((name for name in (LABEL, SCORE, *plain) if name in named), next(iter(named)))
    return _of_core(core_of(named[chosen])) | _spread(named)


def _of_core(core: Any) -> dict[str, Any]:
    return _named(core, isinstance(core, list) and distributed([core]), None, None)


def _spread(named: dict[str, Any]) -> dict[str, Any]:
    """Outputs beside the prediction; of a vector each value by its place."""
    found: dict[str, Any] = {}
    for name, value in named.items():
        core = _readable(core_of, value)
        if isinstance(core, dict | list):
            inner = core.items() if isinstance(core, dict) else enumerate(core)
            found |= {f"{name}.{key}": one for key, one in inner}
        else:
            found[name] = core
    return found


def _are_scores(values: Iterable[Any]) -> bool:
    present = [value for value in values if not is_missing(value)]
    return bool(present) and all(map(_is_number, present))


def _of_vector(values: list[Any], probabilities: bool, classes: Any) -> dict[str, Any]:
    if all(one is None or isinstance(one, int | float) for one in values):
        if probabilities:
            return _class_scores(values, class_names(classes, len(values)), binary=len(values) == 2)
        return {f"{PREDICTION}.{i}": one for i, one in enumerate(values)}
    if all(one is None or isinstance(one, str) for one in values):
        return {PREDICTION: ", ".join(filter(None, values))}
    pair = _pair(values)
    if pair is not None:
        return {PREDICTION: pair[0], SCORE: pair[1]}
    return {PREDICTION: values[0], **{f"{PREDICTION}.{i}": one for i, one in enumerate(values) if i}}


def _class_scores(scores: list[Any], names: list[str] | None, *, binary: bool) -> dict[str, Any]:
    found = {PREDICTION: scores[-1]} if binary else _best(scores, names)
    return found | ({f"{SCORE}.{name}": score for name, score in zip(names, scores, strict=True)} if names else {})


def _best(scores: list[Any], names: list[str] | None) -> dict[str, Any]:
    present = [i for i, score in enumerate(scores) if not is_missing(score)]
    if not present:
        return {PREDICTION: None, SCORE: None}
    at = max(present, key=scores.__getitem__)
    return {PREDICTION: names[at] if names else str(at), SCORE: scores[at]}


def class_names(classes: Any, width: int) -> list[str] | None:
    """A model's `classes_` as texts, where there is one for each of `width` columns; whole numbers without their point."""
    values = listed(classes)
    if values is None or len(values) != width:
        return None
    return [str(int(one)) if isinstance(one, float) and one.is_integer() else str(one) for one in values]


def distributed(vectors: Iterable[list[Any]]) -> bool:
    """Whether all are class probabilities, as far as their values tell; what has gaps does not vote."""
    whole = [values for values in vectors if all(isinstance(one, int | float) and one == one for one in values)]  # noqa: PLR0124
    return bool(whole) and all(map(_adds_up, whole))


def _adds_up(values: list[Any]) -> bool:
    fractions = any(isinstance(one, float) for one in values) and not any(isinstance(one, bool) for one in values)
    return fractions and min(values) >= -ROUNDING and max(values) <= 1 + ROUNDING and abs(sum(values) - 1) <= TOLERANCE
