"""examples/ctranslate2 is a backend of at most 80 lines, and right on a real engine."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autocog_core import Model, ModelLoadError, TreeQuery, load
from autocog_core.config.options import package_file
from autocog_core.model.core_hooks import CoreDefaults
from autocog_core.testing import BackendContractTests, BackendUnderTest, conformance
from autocog_core.types.token_tree import TokenTree
from tests.plugin_author.code_lines import count_code_lines
from tests.plugin_author.findings import broken_laws
from tests.support.engines import SMOL
from tests.support.small_backends import forget, install

EXAMPLE = Path(__file__).parents[2] / "examples" / "ctranslate2"
BACKEND = EXAMPLE / "src" / "autocog_ctranslate2" / "backend.py"
MODULES = ("autocog_ctranslate2", "autocog_ctranslate2.backend", "test_contract", "tiny_model")
LABELS = [f" {first}{second}" for first in "abcdef" for second in ("", "x", "yy", " z", " the z")]


def test_the_backend_has_at_most_80_lines() -> None:
    assert 40 < count_code_lines(BACKEND.read_text(encoding="utf-8")) <= 80


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Make the backend known by name; return the module of the package's test."""
    pytest.importorskip("ctranslate2")
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("installed")
    points = {"autocog": {"ctranslate2": "autocog_ctranslate2.backend:CTranslate2LM"}}
    with pytest.MonkeyPatch.context() as patch:
        install(folder, "autocog-ctranslate2", points, {})
        for path in (folder, EXAMPLE / "src", EXAMPLE / "tests"):
            patch.syspath_prepend(path)
        module = import_module("test_contract")
        contract = module.TestContract
        contract.source, contract.converted = module.write_tiny_model(folder)
        yield contract()
    forget(*MODULES)


@pytest.mark.slow
def test_the_tiny_model_passes_every_law_with_its_reference(example: Any) -> None:
    assert isinstance(example, BackendContractTests)
    subject = BackendUnderTest(example.make, reference=example.reference_logprobs)
    statuses = {result.law.name: result.status for result in conformance(subject)}
    subject.close()
    others = {name: status for name, status in statuses.items() if status != "holds"}
    assert others == dict.fromkeys(("bos_counts", "stops_at_eos"), "not applicable")


@pytest.mark.slow
@pytest.mark.parametrize("prompt", ["", "The capital of France is", "a b " * 40], ids=len)
def test_every_way_of_the_engine_gives_the_rows_of_single_calls(example: Any, prompt: str) -> None:
    """Few rows and many, after a prompt that is kept, or none."""
    with example.make() as model:
        prefix = [1, *model.encode(prompt)] if prompt else [1]
        for choices in (LABELS, LABELS[:4], [" no" * 60]):
            tree = TokenTree.build(
                model.client.tokenize(choices, at_start=False, parse_special=False)
            )
            top = np.array([-1, len(tree.tokens) - 1], dtype=np.int32)
            query = TreeQuery(
                prefix=prefix, tokens=tree.tokens, parents=tree.parents, top_at=top, top_k=3
            )
            (fast,) = model.client.greedy_tree([query])
            (slow,) = CoreDefaults(model.client).greedy_tree_impl([query])
            np.testing.assert_allclose(fast.values, slow.values, atol=1e-4)
            np.testing.assert_allclose(fast.top_logprobs, slow.top_logprobs, atol=1e-4)
            assert (fast.top_tokens == slow.top_tokens).all()


@pytest.mark.slow
def test_a_folder_that_is_not_converted_is_one_clear_error(example: Any, tmp_path: Path) -> None:
    for folder in (example.source, tmp_path):
        with pytest.raises(ModelLoadError, match="has no model of CTranslate2; convert it"):
            load(backend="ctranslate2", options={"model_path": str(folder)})


@pytest.fixture(scope="module")
def smollm2(example: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Model, Any]]:
    """The real model on autocog-tf, and a function that loads the same weights in CTranslate2."""
    gguf = pytest.importorskip("autocog_tf.gguf")
    from ctranslate2.converters import TransformersConverter

    source = gguf.converted_folder(package_file(SMOL))
    converted = tmp_path_factory.mktemp("smollm2") / "converted"
    files = import_module("tiny_model").FILES
    TransformersConverter(str(source), copy_files=files).convert(str(converted))
    options = {"model_path": str(converted), "context_length": 512}
    with load(backend="tf", options={"model_path": SMOL, "device": "cpu"}) as model:
        yield model, lambda: load(backend="ctranslate2", options=options)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_smollm2_passes_every_law(smollm2: tuple[Model, Any]) -> None:
    assert not broken_laws(smollm2[1])


@pytest.mark.soak
def test_smollm2_has_the_scores_of_autocog_tf(smollm2: tuple[Model, Any]) -> None:
    by_tf, load_converted = smollm2
    prompts = ["The best letters are", "Message: I lost my card.\nLabel:", "2 + 2 ="]
    with load_converted() as model:
        for prompt in prompts:
            ours, theirs = model.choose(prompt, LABELS), by_tf.choose(prompt, LABELS)
            for score, other in zip(ours.scores, theirs.scores, strict=True):
                assert score.tokens == other.tokens
                np.testing.assert_allclose(score.token_logprobs, other.token_logprobs, atol=1e-4)
