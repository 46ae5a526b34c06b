"""Every picture of the dashboard has something to show once a real agent has lived through the usual troubles."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenure_agent.metrics import LEVELS

Series = list[dict[str, Any]]
DASHBOARD = json.loads((Path(__file__).parents[3] / "deploy" / "grafana" / "model.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
# Grafana makes these from the time range and the scrape interval.
BUILT_IN = {"__rate_interval": "5m", "__range": "15m"}
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
QUERIES += [(note["name"], note["target"]["expr"]) for note in DASHBOARD["annotations"]["list"]]
SELECTOR = re.compile(r"(?:tenure[_:][a-z_:]+|ALERTS)(?:\{[^}]*\})?")


@pytest.fixture(scope="module")
def values() -> dict[str, str]:
    return dict(BUILT_IN)


@pytest.fixture
def filled(seen: Callable[[str], Series], api: Callable[..., Any], values: dict[str, str]) -> Callable[[str], str]:
    """An expression with the dashboard's variables in place, as Grafana puts them with everything selected."""

    def fill(expression: str) -> str:
        return re.sub(r"\$(\w+)", lambda found: values[found[1]], expression)

    for name, variable in VARIABLES.items():
        if variable["type"] == "query" and name not in values:
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert asked is not None
            selector = fill(asked[1])
            seen(selector)
            found = api(f"label/{asked[2]}/values", **{"match[]": selector})
            assert found, variable
            values[name] = f"({'|'.join(map(re.escape, found))})"
    return fill


@pytest.mark.parametrize(("title", "expression"), QUERIES)
def test_every_query_returns_data(
    title: str, expression: str, seen: Callable[[str], Series], filled: Callable[[str], str]
) -> None:
    seen(filled(expression))
    for selector in SELECTOR.findall(expression):  # an `or vector(0)` would hide a name that does not exist
        seen(filled(selector))


def test_models_versions_and_roles_are_told_apart(
    seen: Callable[[str], Series], filled: Callable[[str], str], values: dict[str, str]
) -> None:
    traffic = next(expression for title, expression in QUERIES if title == "Predictions per second")
    labels = [one["metric"] for one in seen(filled(traffic))]
    told = {(one["version"], one["role"]) for one in labels if one["model"] == "fraud"}
    assert told == {("1", "champion"), ("2", "shadow"), ("2", "challenger")}
    assert values["model"] == "(fraud|hurried|muddled)"
    assert values["version"] == "(1|2)"


def test_the_drifted_column_leads_the_drift_panel(seen: Callable[[str], Series], filled: Callable[[str], str]) -> None:
    drift = next(expression for title, expression in QUERIES if title == "Drift against its threshold")
    found = seen(filled(drift))
    columns = {one["metric"]["column"]: float(one["value"][1]) for one in reversed(found)}
    assert max(columns, key=columns.__getitem__) == "amount"
    assert columns["amount"] > 1.0


def test_levels_read_as_the_agent_means_them() -> None:
    timeline = next(panel for panel in PANELS if panel["type"] == "state-timeline")
    shown = {
        int(value): to["text"] for value, to in timeline["fieldConfig"]["defaults"]["mappings"][0]["options"].items()
    }
    assert shown == {number: level.value for level, number in LEVELS.items()}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: str(panel["title"]))
def test_a_panel_tells_what_to_do(panel: dict[str, Any]) -> None:
    assert len(panel["description"].split()) >= 8
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    if panel["type"] in {"timeseries", "stat"}:
        assert panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        selected = SELECTOR.findall(target["expr"])
        assert all(
            'model=~"$model"' in one for one in selected if "{" in one and "state" not in one and "ALERTS" not in one
        )


def test_panels_have_their_own_place_and_number() -> None:
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells


def test_an_annotation_reads_alike_in_older_and_newer_grafana() -> None:
    for note in DASHBOARD["annotations"]["list"]:
        assert (note["expr"], note["step"]) == (note["target"]["expr"], note["target"]["interval"])


def test_variables_are_datasource_model_and_version() -> None:
    assert list(VARIABLES) == ["datasource", "model", "version"]
    assert VARIABLES["datasource"]["query"] == "prometheus"
