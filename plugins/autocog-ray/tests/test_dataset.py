"""A program as a step of Ray Data has the numbers of one process."""

from __future__ import annotations

import pandas as pd
import pytest
import ray.data

import autocog_core as autocog
from autocog_core.dataset import run_frame
from autocog_core.runners import ModelReferences
from autocog_ray import run_dataset

pytestmark = [pytest.mark.soak, pytest.mark.usefixtures("local_ray")]

PROGRAM = autocog.Automaton.from_dict(
    {
        "inputs": {"text": "text"},
        "actions": [{"text": "{{ text }}:"}, {"name": "answer", "choices": ["a", "b"]}],
    }
)


def test_a_step_of_ray_data_equals_run_frame() -> None:
    # A missing value is an error of its row; the batches without one have no text in this column.
    texts = [f"No {number}" if number != 17 else None for number in range(40)]
    frame = pd.DataFrame({"text": texts, "n": range(40)})
    models = ModelReferences.of_backend("random", {"seed": 5})
    with autocog.load(backend="random", options={"seed": 5}) as model:
        expected = run_frame(PROGRAM, model, frame, probs="all")
    dataset = ray.data.from_pandas(frame).repartition(4)
    result = run_dataset(PROGRAM, models, dataset, probs="all", workers=2, batch_rows=8)
    found = result.to_pandas().sort_values("n", ignore_index=True)
    assert list(found.columns) == list(expected.columns)
    assert found["error"].notna().sum() == 1
    # What is missing is NA in one block, and NaN in another.
    found, expected = found.fillna({"error": ""}), expected.fillna({"error": ""})
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_exact=True)


def test_a_model_that_is_not_configured_is_an_error_before_ray_works() -> None:
    dataset = ray.data.from_items([{"text": "No 1"}])
    with pytest.raises(autocog.ConfigError, match="no model"):
        run_dataset(PROGRAM, "none such", dataset)
