"""`reindex.toml`: defaults, errors that help, and the template that `init` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reindex.config import Settings, load_settings
from reindex.config.template import render_config, tables, toml_value
from reindex.errors import ConfigError


def write(folder: Path, text: str) -> Path:
    file = folder / "reindex.toml"
    file.write_text(text, "utf-8")
    return file


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, ""))
    assert settings.project.name == "docs"
    assert settings.alias == "docs"
    assert settings.collection("v2") == "docs--v2"
    assert settings.home == tmp_path / ".reindex"


def test_the_folder_may_stand_for_the_file(tmp_path: Path) -> None:
    write(tmp_path, '[project]\nname = "wiki"\nalias = "search"\n')
    settings = load_settings(tmp_path)
    assert settings.alias == "search"
    assert settings.root == tmp_path


def test_a_missing_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="reindex init"):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("[gate]\nmin_efect = 0.1", "gate.min_efect", "gate.min_effect"),
        ("[trian]\nepochs = 2", "trian", "train"),
        ("[store]\nlayuot = 'single'", "store.layuot", "store.layout"),
        (
            "[[train.data]]\npath = 'a.jsonl'\nknid = 'nli'",
            "train.data.0.knid",
            "train.data.0.kind",
        ),
    ],
)
def test_an_unknown_key_names_the_nearest(
    tmp_path: Path, text: str, key: str, nearest: str
) -> None:
    with pytest.raises(ConfigError, match=f"unknown key '{key}'. Did you mean '{nearest}'"):
        load_settings(write(tmp_path, text))


def test_a_wrong_value_names_key_and_value(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.epochs.*got -1"):
        load_settings(write(tmp_path, "[train]\nepochs = -1"))
    with pytest.raises(ConfigError, match=r"store\.kind.*'cloud'"):
        load_settings(write(tmp_path, "[store]\nkind = 'cloud'"))


def test_every_error_is_reported_at_once(tmp_path: Path) -> None:
    text = "[train]\nepochs = -1\nbatchsize = 3\n[gate]\nmargin = 'x'"
    with pytest.raises(ConfigError) as caught:
        load_settings(write(tmp_path, text))
    assert all(key in str(caught.value) for key in ("epochs", "batchsize", "margin"))


def test_broken_toml_says_where(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not valid TOML.*line 2"):
        load_settings(write(tmp_path, "[project]\nname = ?\n[gate]\n"))


def test_root_cannot_be_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key 'root'"):
        load_settings(write(tmp_path, "root = '/tmp'"))


def test_an_alias_cannot_look_like_a_collection(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Choose another"):
        load_settings(write(tmp_path, '[project]\nname = "a"\nalias = "a--v1"'))


def test_the_api_key_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load_settings(write(tmp_path, '[qdrant]\napi_key_env = "MY_KEY"'))
    assert settings.qdrant_api_key() is None
    monkeypatch.setenv("MY_KEY", "secret")
    assert settings.qdrant_api_key() == "secret"
    with pytest.raises(ConfigError, match="api_key"):
        load_settings(write(tmp_path, '[qdrant]\napi_key = "secret"'))


def test_the_template_is_the_defaults(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, render_config({}))) == Settings(root=tmp_path)


def test_the_template_with_every_key_uncommented_is_the_defaults(tmp_path: Path) -> None:
    lines = []
    for line in render_config({}).splitlines():
        key = line.removeprefix("# ").split(" = ")[0]
        is_key = line.startswith("# ") and " = " in line and key.isidentifier()
        lines.append(line.removeprefix("# ") if is_key and not line.endswith("…") else line)
    assert load_settings(write(tmp_path, "\n".join(lines))) == Settings(root=tmp_path)


def test_the_template_sets_what_is_given(tmp_path: Path) -> None:
    values: dict[str, dict[str, Any]] = {
        "project": {"name": "pydocs"},
        "evaluation": {"variants": {"a b": Path("x/y.jsonl")}},
    }
    settings = load_settings(write(tmp_path, render_config(values)))
    assert settings.project.name == "pydocs"
    assert settings.evaluation.variants == {"a b": Path("x/y.jsonl")}


def test_nothing_is_written_too(tmp_path: Path) -> None:
    values: dict[str, dict[str, Any]] = {
        "train": {"dropout": None, "negatives": {"relative_margin": None}},
        "synthesis": {"temperature": None},
    }
    settings = load_settings(write(tmp_path, render_config(values)))
    assert settings.train.dropout is None
    assert settings.train.negatives.relative_margin is None
    assert settings.synthesis.temperature is None


def test_toml_strings_are_escaped() -> None:
    assert toml_value('a "b"\n') == '"a \\"b\\"\\n"'
    assert toml_value(("a", 1, True)) == '["a", 1, true]'


def test_every_key_has_a_description() -> None:
    sections = list(tables(Settings).items())
    for name, section in sections:
        sections += [(f"{name}.{key}", table) for key, table in tables(section).items()]
        for key, info in section.model_fields.items():
            assert info.description or key in tables(section), f"{name}.{key}"
