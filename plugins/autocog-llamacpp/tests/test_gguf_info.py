"""Descriptions of .gguf files equal those of the `gguf` package; a damaged file is one error."""

from __future__ import annotations

import json
import os
import random
import struct
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import gguf
import pytest
from gguf import GGMLQuantizationType as Type

from autocog_core import AutocogError, ConfigError, ModelLoadError
from autocog_llamacpp.gguf.header import GgufArray, read_header
from autocog_llamacpp.gguf.info import GgufInfo, gguf_path, read_gguf_info
from tests.support.llamacpp import gguf_files
from tests.support.llamacpp.gguf_models import SMOL
from tests.support.mutations import mutate
from tests.support.trials import Trials, tried


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gguf_files.write(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def check_against_gguf_package(path: Path) -> None:
    """The slow reader, which makes an array of every token, must see the same."""
    reference = gguf.GGUFReader(path)
    info, header = read_gguf_info(path), read_header(path, {})
    assert info.version == reference.fields["GGUF.version"].contents()
    found = [(t.name, t.type, t.shape, t.elements, t.size, t.offset) for t in header.tensors]
    assert found == [
        (
            tensor.name,
            tensor.tensor_type.name,
            tuple(int(length) for length in tensor.shape),
            tensor.n_elements,
            tensor.n_bytes,
            tensor.data_offset,
        )
        for tensor in reference.tensors
    ]
    assert header.size == reference.data_offset
    names = [name for name in reference.fields if not name.startswith("GGUF.")]
    assert list(info.metadata) == names
    for name in names:
        field, value = reference.fields[name], info.metadata[name]
        if not isinstance(value, GgufArray):
            assert value == field.contents(), name
            continue
        assert value.length == len(field.data)
        assert value.type.upper() == field.types[-1].name
        if value.values is not None:
            assert list(value.values) == field.contents()
    tokens = reference.fields["tokenizer.ggml.tokens"]
    assert info.tokenizer is not None
    for token, text in (
        (info.tokenizer.bos, info.tokenizer.bos_text),
        (info.tokenizer.eos, info.tokenizer.eos_text),
    ):
        assert token is not None
        assert text == tokens.contents(token)
    counts = Counter(tensor.tensor_type.name for tensor in reference.tensors)
    assert {kind.type: kind.count for kind in info.tensor_types} == counts
    assert sum(kind.size for kind in info.tensor_types) == sum(t.n_bytes for t in reference.tensors)
    assert info.parameters == sum(tensor.n_elements for tensor in reference.tensors)


@pytest.mark.parametrize(
    "kind", [Type.F32, Type.F16, Type.BF16, Type.Q8_0, Type.Q4_1], ids=lambda kind: kind.name
)
def test_info_equals_the_gguf_package(tmp_path: Path, kind: Type) -> None:
    check_against_gguf_package(
        gguf_files.write(
            tmp_path / "model.gguf",
            kind,
            general__alignment=64,
            short__texts=["a", "é", ""],
            short__numbers=[1, 2, 3],
            long__numbers=[0.5] * 17,
        )
    )


@pytest.mark.soak
def test_info_of_smollm2_equals_the_gguf_package_without_reading_the_vocabulary() -> None:
    """The package's slow reader creates an array for each of 49,152 tokens and merges."""
    path = gguf_path(SMOL)
    check_against_gguf_package(path)
    tracemalloc.start()
    info = read_gguf_info(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**20
    assert (info.architecture, info.quantization, info.layers) == ("llama", "Q4_1", 30)
    assert info.parameters == 134_515_008
    assert info.tokenizer is not None
    assert info.tokenizer.bos_text == "<|im_start|>"


def test_the_facts_of_a_model(tiny: Path) -> None:
    info = read_gguf_info(tiny)
    assert info.path == tiny
    assert info.size == tiny.stat().st_size
    assert (info.version, info.part) == (3, None)
    assert (info.architecture, info.name, info.quantization) == ("llama", "Tiny", "F32")
    assert (info.context_length, info.layers, info.embedding_width) == (128, 1, 256)
    assert info.bits_per_weight == 32
    assert not info.is_quantized
    assert info.chat_template == "{{ messages }}"
    tokenizer = info.tokenizer
    assert tokenizer is not None
    assert (tokenizer.model, tokenizer.pre) == ("gpt2", "smollm")
    assert tokenizer.vocabulary_size == len(gguf_files.TOKENS)
    assert (tokenizer.bos, tokenizer.bos_text) == (1, "<s>")
    assert (tokenizer.eos, tokenizer.eos_text) == (2, "</s>")
    assert tokenizer.adds_bos is True


def test_bits_per_weight_count_the_bytes_of_all_tensors(tmp_path: Path) -> None:
    info = read_gguf_info(gguf_files.write(tmp_path / "model.gguf", Type.Q8_0))
    assert info.is_quantized
    by_type = {kind.type: kind for kind in info.tensor_types}
    assert by_type["Q8_0"].size * 8 == by_type["Q8_0"].parameters * 8.5
    assert by_type["F32"].count == 3
    assert [kind.type for kind in info.tensor_types] == ["Q8_0", "F32"]
    total = by_type["Q8_0"].size + by_type["F32"].size
    assert info.bits_per_weight == 8 * total / info.parameters
    assert 8.5 < info.bits_per_weight < 8.6


def test_missing_metadata_is_none(tmp_path: Path) -> None:
    info = read_gguf_info(gguf_files.bare(tmp_path / "bare.gguf"))
    assert (info.architecture, info.name, info.quantization) == ("llama", None, None)
    assert (info.context_length, info.layers, info.embedding_width) == (None, None, None)
    assert (info.tokenizer, info.chat_template, info.parameters) == (None, None, 0)
    assert info.bits_per_weight is None
    assert info.tensor_types == ()
    json.dumps(info.to_dict())


def test_metadata_of_a_wrong_type_counts_as_missing(tmp_path: Path) -> None:
    path = gguf_files.bare(tmp_path / "x.gguf", general__name=3, llama__context_length=7)
    assert (read_gguf_info(path).name, read_gguf_info(path).context_length) == (None, 7)


def test_an_unknown_file_type_is_shown_by_number(tmp_path: Path) -> None:
    path = gguf_files.bare(tmp_path / "x.gguf", general__file_type=999)
    assert read_gguf_info(path).quantization == "type 999"


def test_a_part_of_a_split_model_has_its_index(tmp_path: Path) -> None:
    path = gguf_files.bare(tmp_path / "x.gguf", split__no=1, split__count=3)
    assert read_gguf_info(path).part == (2, 3)


@pytest.mark.parametrize("token", [len(gguf_files.TOKENS), 2**32 - 1])
def test_a_token_outside_of_the_vocabulary_has_no_text(tiny: Path, token: int) -> None:
    changed = tiny.read_bytes().replace(
        _entry("tokenizer.ggml.bos_token_id", 1), _entry("tokenizer.ggml.bos_token_id", token)
    )
    path = tiny.with_name("other.gguf")
    path.write_bytes(changed)
    tokenizer = read_gguf_info(path).tokenizer
    assert tokenizer is not None
    assert (tokenizer.bos, tokenizer.bos_text) == (token, None)
    assert tokenizer.eos_text == "</s>"


def _entry(key: str, number: int) -> bytes:
    return key.encode() + struct.pack("<II", gguf.GGUFValueType.UINT32, number)


def test_plain_data_is_json_and_has_metadata_on_request(tmp_path: Path) -> None:
    path = gguf_files.write(
        tmp_path / "x.gguf", a__nan=float("nan"), an__inf=float("-inf"), some__texts=["a", "b"]
    )
    info = read_gguf_info(path)
    data = json.loads(json.dumps(info.to_dict(metadata=True), allow_nan=False))
    assert data["metadata"]["a.nan"] is None
    assert data["metadata"]["an.inf"] is None
    assert data["metadata"]["some.texts"] == ["a", "b"]
    assert data["metadata"]["tokenizer.ggml.tokens"] == {
        "type": "string",
        "length": len(gguf_files.TOKENS),
    }
    assert data["bits_per_weight"] == 32
    assert data["tokenizer"]["bos_text"] == "<s>"
    assert "metadata" not in info.to_dict()


def test_invalid_utf8_is_replaced(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(tiny.read_bytes().replace(b"Tiny", b"T\xffny"))
    assert read_gguf_info(path).name == "T\ufffdny"


def test_a_home_folder_a_package_and_a_text_are_paths_too(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tiny.parent))
    assert read_gguf_info(f"~/{tiny.name}").path == tiny
    assert read_gguf_info(str(tiny)).path == tiny


def test_a_missing_file_is_a_config_error(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        read_gguf_info(tmp_path / "x.gguf")
    with pytest.raises(ConfigError, match=r"is a folder; in it: .*tiny\.gguf"):
        read_gguf_info(tiny.parent)
    with pytest.raises(ConfigError, match="is a folder; give a"):
        read_gguf_info(tmp_path)
    with pytest.raises(ConfigError, match="nowhere"):
        read_gguf_info("package:nowhere/x.gguf")
    with pytest.raises(ConfigError, match="has no file"):
        read_gguf_info("package:numpy/x.gguf")
    with pytest.raises(ConfigError):
        read_gguf_info(tmp_path / ("x" * 300))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_fifo_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="is not a file"):
        read_gguf_info(tmp_path / "pipe")


def _file(*parts: bytes, version: int = 3, tensors: int = 0, fields: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, fields) + b"".join(parts)


def _text(text: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text


_KEY = _text(b"key")
_ARRAY = struct.pack("<I", gguf.GGUFValueType.ARRAY)
_STRING = struct.pack("<I", gguf.GGUFValueType.STRING)
_HUGE = 2**62
BAD = {
    "empty": (b"", "is empty"),
    "text": (b"not a model at all", "is not a GGUF file"),
    "magic only": (b"GGUF", "ends within its header"),
    "version 1": (_file(version=1), "version 1 of the format.*convert the model again"),
    "version 4": (_file(version=4), "version 4 of the format"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian.*gguf-convert-endian"),
    "no counts": (_file()[:12], "header ends, at byte"),
    "many fields": (_file(fields=_HUGE), "header ends"),
    "many tensors": (_file(tensors=_HUGE), "header ends"),
    "many empty keys": (_file(bytes(13 * 1000), fields=_HUGE), "twice"),
    "many empty tensors": (_file(bytes(24 * 1000), tensors=_HUGE), "twice"),
    "long key": (_file(_text(b"key", _HUGE), fields=1), "header ends"),
    "long text": (_file(_KEY, _STRING, _text(b"x", _HUGE), fields=1), "header ends"),
    "unknown value": (_file(_KEY, struct.pack("<I", 99), fields=1), "value of type 99"),
    "long array": (
        _file(_KEY, _ARRAY, struct.pack("<IQ", 4, _HUGE), bytes(100), fields=1),
        "header ends",
    ),
    "long array of texts": (
        _file(_KEY, _ARRAY, _STRING, struct.pack("<Q", _HUGE), bytes(100), fields=1),
        "texts in",
    ),
    "array of arrays": (
        _file(_KEY, _ARRAY, _ARRAY, struct.pack("<Q", 1), bytes(100), fields=1),
        "arrays of arrays",
    ),
    "alignment": (
        _file(_text(b"general.alignment"), struct.pack("<II", 4, 12), fields=1),
        "alignment of 12",
    ),
    "dimensions": (_file(_text(b"x"), struct.pack("<I", 2**31), tensors=1), "dimensions"),
    "tensor type": (
        _file(_text(b"x"), struct.pack("<IQIQ", 1, 32, 77, 0), tensors=1),
        "type 77, which is not known.*upgrade gguf",
    ),
    "half a block": (
        _file(_text(b"x"), struct.pack("<IQIQ", 1, 33, Type.Q8_0, 0), tensors=1),
        "no whole Q8_0 blocks",
    ),
    "tensor beyond the end": (
        _file(_text(b"x"), struct.pack("<IQQIQ", 2, 2**60, 2**60, Type.F32, 2**63), tensors=1),
        "its tensors need",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_damaged_file_is_an_error_with_the_position(case: str, tmp_path: Path) -> None:
    content, message = BAD[case]
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ModelLoadError, match=message) as caught:
        read_gguf_info(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.hint
    assert most < 2**20


def test_truncated_weights_are_an_error(tiny: Path, tmp_path: Path) -> None:
    content, path = tiny.read_bytes(), tmp_path / "cut.gguf"
    path.write_bytes(content[:-1])
    size = len(content)
    with pytest.raises(ModelLoadError, match=f"tensors need {size} bytes, it has {size - 1}"):
        read_gguf_info(path)


@tried(
    "Headers of .gguf files, damaged",
    expect="one clear error, or a description",
    normal=80,
    soak=1000,
)
def test_random_damage_gives_an_error_or_a_result(
    trials: Trials, tiny: Path, tmp_path: Path
) -> None:
    content, header = tiny.read_bytes(), read_header(tiny, {}).size
    path = tmp_path / "damaged.gguf"
    for seed in trials:
        chance = random.Random(seed)
        if seed % 2:
            damaged = mutate(content[:header], chance) + content[header:]
        else:
            damaged = _damaged(content, header, chance)
        path.write_bytes(damaged)
        outcome = _outcome(path)
        if isinstance(outcome, AutocogError):
            assert str(outcome).startswith(f"{path}: ")
            assert len(str(outcome).splitlines()) == 1
            trials.note("refused")
        else:
            # A bit of a text may well be another one.
            trials.note("described")
    assert min(trials.outcomes["refused"], trials.outcomes["described"]) > len(trials) / 20


def _damaged(content: bytes, header: int, chance: random.Random) -> bytes:
    data = bytearray(content[: chance.choice([len(content), chance.randrange(len(content))])])
    for _ in range(chance.choice([0, 1, 1, 3, 40])):
        at = chance.randrange(min(header, max(len(data), 1)))
        if at < len(data):
            data[at] = chance.choice([0, 1, 0x7F, 0xFF, chance.randrange(256)])
    if chance.random() < 0.2 and len(data) > header:
        at = chance.randrange(header - 8)
        data[at : at + 8] = struct.pack("<Q", chance.choice([2**63, 2**31, 2**64 - 1, 10**6]))
    return bytes(data)


def _outcome(path: Path) -> GgufInfo | AutocogError:
    tracemalloc.start()
    try:
        info = read_gguf_info(path)
    except AutocogError as error:
        return error
    else:
        json.dumps(info.to_dict(metadata=True), allow_nan=False)
        return info
    finally:
        most: Any = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 2**23
