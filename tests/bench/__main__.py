"""`make bench`: how fast Tenure is, as ratios measured side by side in one run.

Absolute figures depend on the machine; ratios much less. Sides of a ratio take turns, and medians are compared.
"""

from __future__ import annotations

import argparse
import json
import platform

from tests.bench import away, backtest, checks, durable, footprint, import_cost, in_path, many_rows, processor, relay
from tests.bench.line import Line

SUITES = {
    "in_path": in_path.run,
    "many_rows": many_rows.run,
    "away": away.run,
    "processor": processor.run,
    "import_cost": import_cost.run,
    "durable": durable.run,
    "relay": relay.run,
    "footprint": footprint.run,
    "backtest": backtest.run,
    "checks": checks.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(SUITES), help="one suite")
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    arguments = parser.parse_args()
    if not arguments.json:
        print(f"Python {platform.python_version()}, {platform.machine()}, {platform.system()}")
    for name, suite in SUITES.items():
        if arguments.only in {None, name}:
            for line in suite():
                show(line, as_json=arguments.json)


def show(line: Line, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(line.document()), flush=True)
    else:
        print(line, flush=True)


if __name__ == "__main__":
    main()
