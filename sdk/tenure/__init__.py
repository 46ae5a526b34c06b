"""Tenure looks after models once they are live: a decorator on predict, an agent beside the serving process."""

from tenure.backlog import Stats
from tenure.current import prediction_id
from tenure.errors import SettingError, TenureError, TransportError
from tenure.monitor import Monitor
from tenure.settings import Settings

__all__ = ["Monitor", "SettingError", "Settings", "Stats", "TenureError", "TransportError", "prediction_id"]
