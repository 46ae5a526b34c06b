"""A loaded pyfunc model, wrapped."""

import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tenure import Monitor, SettingError
from tenure.integrations.mlflow import identity, watch
from tenure.testing import MemoryTransport

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns about its own type hints when it is imported
    import mlflow.pyfunc
    from mlflow.models import Model

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:mlflow", "ignore:.*type hints:UserWarning")
FRAME = pd.DataFrame({"amount": [1.0, 2.0]})


class Doubled(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined, unused-ignore]
    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        return model_input["amount"] * 2


@pytest.fixture
def loaded(tmp_path: Path) -> Any:
    meta = Model(run_id="a1b2", artifact_path="models/fraud")
    mlflow.pyfunc.save_model(str(tmp_path / "m"), python_model=Doubled(), mlflow_model=meta)
    return mlflow.pyfunc.load_model(str(tmp_path / "m"))


def test_predictions_are_recorded_under_the_run(monitor: Monitor, transport: MemoryTransport, loaded: Any) -> None:
    model = watch(loaded, monitor)

    assert model.predict(FRAME).tolist() == [2.0, 4.0]
    assert isinstance(model, mlflow.pyfunc.PyFuncModel)
    assert monitor.flush(60)
    found = transport.predictions("fraud")
    assert [(row["version"], row["features"], row["outputs"]) for row in found] == [
        ("a1b2", {"amount": 1.0}, {"prediction": 2.0}),
        ("a1b2", {"amount": 2.0}, {"prediction": 4.0}),
    ]


def test_the_metadata_says_what_it_is(loaded: Any) -> None:
    assert identity(loaded) == ("fraud", "a1b2", "a1b2")


def test_what_is_no_pyfunc_model_is_refused() -> None:
    with pytest.raises(SettingError, match=r"loaded: .* Try: what mlflow\.pyfunc\.load_model returned"):
        watch("fraud")
