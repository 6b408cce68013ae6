"""The number of torch's threads, and how they wait."""

from __future__ import annotations

import logging

import pytest
import torch

from autocog_core.toolkit import waiting_threads
from autocog_tf import threads
from autocog_tf.options import TfOptions
from tests.support.tf.tiny_models import tiny_engine


@pytest.fixture
def _three_threads_and_a_quota_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "limit_threads", lambda count: min(count, 2))
    torch.set_num_threads(3)


@pytest.mark.usefixtures("_three_threads_and_a_quota_of_two")
def test_threads_fit_into_the_container_unless_the_user_has_set_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def set_threads(count: int, *, is_new: bool) -> int:
        torch.set_num_threads(3)
        threads.set_thread_count(count, is_new=is_new)
        return torch.get_num_threads()

    assert set_threads(0, is_new=True) == 2
    assert set_threads(0, is_new=False) == 3
    assert set_threads(4, is_new=True) == set_threads(4, is_new=False) == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert set_threads(0, is_new=True) == 3
    torch.set_num_threads(1)


def test_the_option_is_validated() -> None:
    assert TfOptions(n_threads=3).n_threads == 3
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        TfOptions(n_threads=-1)


def test_spinning_threads_are_reported_unless_there_is_only_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(waiting_threads, "_loaded_before", ["/lib/libgomp.so.1"])
    with caplog.at_level(logging.WARNING):
        tiny_engine()
        assert not caplog.records
        torch.set_num_threads(2)
        tiny_engine()
        tiny_engine()
    torch.set_num_threads(1)
    assert [record.message[:28] for record in caplog.records] == ["/lib/libgomp.so.1 was loaded"]
