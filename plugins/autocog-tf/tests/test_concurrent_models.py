"""Many threads, and several models on one engine: every answer is the lone one."""

from __future__ import annotations

from autocog_core import Model
from autocog_tf import TfLM
from tests.support.concurrent_calls import try_together
from tests.support.tf.tiny_models import tiny_engine
from tests.support.trials import Trials, tried


@tried(
    "Mixed calls of 16 threads on 3 models of one engine (tf)",
    expect="the answer of the call alone",
    normal=60,
    soak=2000,
)
def test_mixed_calls_of_many_threads_equal_lone_calls(trials: Trials) -> None:
    engine = tiny_engine()
    models = [Model(TfLM(engine=engine)) for _ in range(3)]
    try_together(models, trials, tolerance=20 * engine.tolerance)
