"""Paths as people write them: read, or refused with the reason; no name on a hub by mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest

from autocog_core import ConfigError, load, read_config
from autocog_core.config.options import FilePath, Resource, validate
from autocog_core.config.required_files import RequiredFiles
from autocog_core.errors import AutocogError

SINGLE_QUOTES = r"in TOML, write a path with backslashes in single quotes"
VARIABLES = r"variables such as \$HOME are not replaced in paths"
#: A path as TOML gives it to autocog, and what the message must say.
MISTAKES = {
    "C:\temp\new": SINGLE_QUOTES,
    r"C:\models\x": r"there is no file or folder .*C:\\models\\x",
    r"models\x": "there is no file or folder",
    "$HOME/x": VARIABLES,
    "${HOME}/x": VARIABLES,
    r"%USERPROFILE%\x": VARIABLES,
    "~no_such_user/x": 'there is no user "no_such_user"',
    "~/not there": "there is no file or folder /",
    "../not there": "there is no file or folder",
    "my models/x": "there is no file or folder",
    "owner/name/folder/x": "there is no file or folder",
    "x\0y": SINGLE_QUOTES,
    "x" * 10_000 + "/ y": "there is no file or folder",
}


def resolve(kind: Any, value: Any, folder: Path) -> Any:
    return validate(kind, value, where="autocog.toml", prefix="path", folder=folder)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", MISTAKES, ids=lambda value: repr(value)[:20])
def test_what_can_only_be_a_path_must_exist(value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=MISTAKES[value]) as caught:
        resolve(Resource, value, tmp_path)
    assert str(caught.value).startswith("autocog.toml: path: ")


@pytest.mark.parametrize("value", ["gpt2-medium", "some-owner/some_model.v2", "models/x"])
def test_what_may_be_a_name_on_a_hub_stays(value: str, tmp_path: Path) -> None:
    assert resolve(Resource, value, tmp_path) == value


@pytest.mark.parametrize(
    "name", [r"C:\models\x", "$HOME", "%X%", "~no_such_user", "a b", "C:\temp"]
)
def test_what_exists_is_a_path_whatever_its_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    written = f"./{name}"
    assert Path(resolve(Resource, written, tmp_path)) == tmp_path / name
    assert resolve(FilePath, f"{written}/new.jsonl", tmp_path) == tmp_path / name / "new.jsonl"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("$HOME/x.jsonl", VARIABLES),
        (r"%TEMP%\cache\x.sqlite", None),
        ("%TEMP%/x.sqlite", VARIABLES),
        ("C:\temp/x.jsonl", SINGLE_QUOTES),
        ("~no_such_user/x.jsonl", 'no user "no_such_user"'),
    ],
)
def test_no_folder_is_created_for_a_mistake(
    value: str, problem: str | None, tmp_path: Path
) -> None:
    if problem is None:
        # Without a slash, all of it is a file name here.
        assert resolve(FilePath, value, tmp_path) == tmp_path / value
        return
    with pytest.raises(ConfigError, match=problem):
        resolve(FilePath, value, tmp_path)


@pytest.mark.parametrize("wrapper", ["trace", "cache", "record"])
def test_wrappers_say_what_is_wrong_with_a_path(wrapper: str, tmp_path: Path) -> None:
    config = tmp_path / "autocog.toml"
    config.write_text(
        '[models.m]\nbackend = "random"\n'
        f'wrappers = [{{name = "{wrapper}", options = {{path = "$HOME/logs/x"}}}}]'
    )
    with pytest.raises(ConfigError, match=rf"wrappers\.{wrapper}\.path: .*{VARIABLES}"):
        load(config=config)
    assert [path.name for path in tmp_path.iterdir()] == ["autocog.toml"]


@pytest.mark.parametrize("line", [r'path = "C:\models\x"', r'path = "C:\Users\x"'])
def test_toml_with_backslashes_in_double_quotes_gets_a_hint(line: str, tmp_path: Path) -> None:
    config = tmp_path / "autocog.toml"
    config.write_text(f'[models.m]\nbackend = "replay"\noptions.{line}\n')
    with pytest.raises(ConfigError, match=r"line 3.*in single quotes: 'C:\\models\\x'"):
        load(config=config)


def test_single_quotes_keep_backslashes(tmp_path: Path) -> None:
    config = tmp_path / "autocog.toml"
    config.write_text("[models.m]\nbackend = 'replay'\noptions.path = 'C:\\models\\x'\n")
    with pytest.raises(AutocogError, match=r"C:\\models\\x: cannot be read: No such file"):
        load(config=config)


def test_the_config_file_itself_is_such_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value, problem in {
        "~no_such_user/x": 'no user "no_such',
        "$HOME/x.toml": VARIABLES,
    }.items():
        with pytest.raises(ConfigError, match=f"--config: .*{problem}"):
            read_config(value)
        monkeypatch.setenv("AUTOCOG_CONFIG", value)
        with pytest.raises(ConfigError, match=f"AUTOCOG_CONFIG: .*{problem}"):
            read_config()
    with pytest.raises(ConfigError, match="--config: is not a file"):
        read_config(tmp_path)


@pytest.mark.parametrize(
    "reference",
    ["package:pytest/../x.gguf", "package:pytest//etc/passwd", "package:pytest/a/../.."],
)
def test_a_reference_to_a_package_stays_inside(reference: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="outside of the package"):
        resolve(Resource, reference, tmp_path)


#: A folder of a model: two files by name, and one of two kinds of weights.
ModelFolder = Annotated[
    Resource, RequiredFiles("tokenizer.json", "config.json", ("*.safetensors", "model.bin"))
]


def test_a_folder_with_the_required_files_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name in ("tokenizer.json", "config.json", "part-1.safetensors"):
        (tmp_path / "model" / name).touch()
    assert resolve(ModelFolder, "model", tmp_path) == str(tmp_path / "model")


@pytest.mark.parametrize(
    ("value", "files", "problem"),
    [
        ("model", [], "has no tokenizer.json and no config.json and no *.safetensors or model.bin"),
        ("model", [], "; it has nothing"),
        ("model", ["tokenizer.json", "model.bin"], "has no config.json; it has model.bin, token"),
        ("model", [f"file-{index}" for index in range(9)], "file-7 ..."),
        ("model/file", ["file"], "is a file; name a folder with tokenizer.json, config.json"),
        ("owner/name", [], "'owner/name' is no folder on this machine; name a folder with"),
        ("../none", [], "there is no file or folder"),
    ],
)
def test_a_folder_without_them_is_refused_with_what_is_missing(
    value: str, files: list[str], problem: str, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    for name in files:
        (tmp_path / "model" / name).touch()
    with pytest.raises(ConfigError) as caught:
        resolve(ModelFolder, value, tmp_path)
    assert problem in str(caught.value)


def test_a_folder_in_place_of_a_required_file_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with pytest.raises(ValueError, match=r"has no config\.json"):
        RequiredFiles("config.json").check(tmp_path)


def test_a_path_of_python_is_a_resource_too(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert resolve(Resource, tmp_path / "model", tmp_path) == str(tmp_path / "model")
    assert resolve(Resource, Path("model"), tmp_path) == str(tmp_path / "model")


def test_required_files_of_an_option_that_is_left_out_are_not_looked_for(tmp_path: Path) -> None:
    option = Annotated[Resource | None, RequiredFiles("config.json")]
    assert resolve(option, None, tmp_path) is None
    for value in (tmp_path, "a" * 5000):
        with pytest.raises(ConfigError, match=r"config\.json"):
            resolve(option, value, tmp_path)


def test_a_required_file_may_have_brackets_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "part[1].bin").touch()
    RequiredFiles("part[1].bin").check(tmp_path)
