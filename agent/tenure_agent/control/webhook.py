"""A decision as a signed event: CloudEvents 1.0 JSON in the body, Standard Webhooks in the headers."""

from __future__ import annotations

import datetime as dt
import secrets
from base64 import b64encode
from pathlib import Path
from typing import Any

from cloudevents.core.bindings.http import to_structured_event
from cloudevents.core.v1.event import CloudEvent
from standardwebhooks.webhooks import Webhook

from tenure.errors import SettingError
from tenure_agent.records import iso, moment
from tenure_agent.store.decisions import Letter

SECRET_PREFIX = "whsec_"  # noqa: S105  # the prefix is public, what follows is not


def body_of(letter: Letter) -> tuple[bytes, str]:
    """The event of a decision, the same bytes at every attempt, and its content type."""
    d = letter.decision
    data: dict[str, Any] = {
        "id": d.id,
        "model": d.model,
        "version": d.version,
        "action": d.action,
        "trigger": d.trigger,
        "urgency": d.urgency,
        "mode": d.mode,
        "reason": d.reason,
        "event_time": iso(d.event_time),
        "evidence": d.evidence,
    }
    attributes = {
        "id": d.id,
        "source": f"tenure-agent/{d.model}",
        "type": f"dev.tenure.decision.{d.action}",
        "subject": f"{d.model}/{d.version}",
        "time": moment(d.event_time),
        "datacontenttype": "application/json",
    }
    message = to_structured_event(CloudEvent(attributes, data))
    headers = {name.lower(): value for name, value in message.headers.items()}
    body = message.body if isinstance(message.body, bytes) else str(message.body).encode()
    return body, headers["content-type"]


def signed_headers(secret: str, id_: str, body: bytes, content_type: str, now: dt.datetime) -> dict[str, str]:
    """Headers that let the receiver know who wrote the body, and when."""
    signature = Webhook(secret).sign(id_, now, body.decode())
    return {
        "content-type": content_type,
        "webhook-id": id_,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }


def read_secret(path: Path) -> str:
    """The shared secret of a file, ``whsec_`` and base64.

    Raises
    ------
    SettingError
        The file cannot be read or holds no secret. The message never shows what it holds.
    """
    try:
        secret = path.read_text().strip()
        Webhook(secret)
    except OSError as error:
        remedy = "tenure-agent control secret --out FILE"
        raise SettingError("control.secret_file", f"{path} ({error.strerror})", remedy) from None
    except Exception:  # noqa: BLE001  # whatever the library says might quote the secret
        raise SettingError("control.secret_file", str(path), "tenure-agent control secret --out FILE") from None
    return secret


def new_secret() -> str:
    return SECRET_PREFIX + b64encode(secrets.token_bytes(32)).decode()
