"""Orders for server.py, and the truth about them a little later; after a while the world changes."""

from __future__ import annotations

import argparse
import json
import random
import threading
import urllib.error
import urllib.request
from collections import deque
from typing import Any

LABEL_DELAY = 100  # orders between a prediction and its truth


def order(rng: random.Random, number: int, *, drifted: bool) -> dict[str, Any]:
    """An order as shops see them; once `drifted`, dearer and from newer accounts."""
    return {
        "order_id": f"{rng.getrandbits(32):08x}-{number}",
        "amount": round(rng.lognormvariate(3.0 + 1.2 * drifted, 0.8), 2),
        "country": rng.choices(["NL", "DE", "FR", "XX"], [60, 25, 10, 5])[0],
        "account_age_days": round(rng.expovariate(1 / (300 - 250 * drifted))),
    }


def is_fraud(rng: random.Random, score: float, *, drifted: bool) -> int:
    """What became of an order: as the model says, until the world changes and it does no longer."""
    return int(rng.random() < (0.3 if drifted else score))


def post(url: str, document: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(document).encode(), {"Content-Type": "application/json"})  # noqa: S310  # the operator's own URL
    with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310
        answer: dict[str, Any] = json.load(reply)
        return answer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--rate", type=float, default=20.0, help="orders per second; 0: as fast as they are answered")
    parser.add_argument("--orders", type=int, default=0, help="stop after so many; 0: never")
    parser.add_argument("--drift-after", type=int, default=6000, help="orders until the world changes")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    rng, pause = random.Random(given.seed), threading.Event()  # noqa: S311  # an example's traffic
    truths: deque[dict[str, Any]] = deque()
    number = 0
    while not given.orders or number < given.orders:
        drifted = number >= given.drift_after
        asked = order(rng, number, drifted=drifted)
        number += 1
        try:
            score = post(f"{given.url}/predict", asked)["score"]
            truths.append({"order_id": asked["order_id"], "label": is_fraud(rng, score, drifted=drifted)})
            if len(truths) > LABEL_DELAY:
                post(f"{given.url}/outcome", truths.popleft())
        except urllib.error.URLError:
            pause.wait(1.0)  # the server is restarting
        if given.rate:
            pause.wait(1.0 / given.rate)
    for truth in truths:
        post(f"{given.url}/outcome", truth)


if __name__ == "__main__":
    main()
