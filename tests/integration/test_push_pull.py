"""`reindex push` and `reindex pull`: projects, object storage, processes that are killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from reindex.artifact import load_manifest
from reindex.cli import main
from reindex.errors import ArtifactError, Conflict, RegistryError
from reindex.project import Project
from reindex.records import query_hash
from reindex.registry.lineage import Lineage
from reindex.stages.leaking import unknown_lineage
from reindex.stages.transporting import Load, pulled_from
from reindex.transport import Wish
from tests.transport_fixtures import KEY, SECRET, object_storage, project_with

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with project_with(tmp_path / "here") as made:
        yield made


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Project]:
    """Another project, on another host as it were, with a version of its own."""
    with project_with(tmp_path / "other") as made:
        shutil.rmtree(made.artifact_folder("v1"))
        made.registry.execute("UPDATE versions SET artifact = NULL, state = 'created'")
        yield made


@pytest.fixture(scope="module")
def storage() -> Iterator[dict[str, str]]:
    with object_storage() as environment:
        yield environment


@pytest.fixture
def s3(storage: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty bucket."""
    import s3fs

    for name, value in storage.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    bucket = f"bucket-{os.urandom(4).hex()}"
    s3fs.S3FileSystem().mkdir(bucket)
    return f"s3://{bucket}/models/v1"


def vectors(project: Project, version: str) -> np.ndarray:
    with project.encoder(project.registry.version(version)) as encoder:
        return encoder.encode_queries(["the text of document number 7"])


def written(*folders: Path) -> Iterator[bytes]:
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_file():
                yield file.read_bytes()


def test_a_pulled_version_computes_the_same_vectors(
    project: Project, other: Project, tmp_path: Path
) -> None:
    pushed = project.push("v1", str(tmp_path / "models/v1"))
    pulled = other.pull(str(tmp_path / "models/v1"), wish=Wish(digest=f"sha256:{pushed.digest}"))
    version = pulled.version
    assert (version.name, version.state, version.base) == ("v2", "exported", "small")
    ours = project.registry.version("v1")
    assert (version.space, version.encoding, version.dim) == (ours.space, ours.encoding, ours.dim)
    np.testing.assert_array_equal(vectors(project, "v1"), vectors(other, "v2"))
    assert version.report["prefix_dim"] == 16
    told = pulled_from(version)
    assert told["address"] == str(tmp_path / "models/v1")
    assert (told["digest"], told["version"]) == (pushed.digest, "v1")
    runs = {run.kind: run.details for run in (*project.registry.runs(), *other.registry.runs())}
    assert runs["push"]["digest"] == runs["pull"]["digest"] == pushed.digest


def test_through_object_storage(project: Project, other: Project, s3: str, tmp_path: Path) -> None:
    pushed = project.push("v1", s3)
    assert project.push("v1", s3).sent == 0
    pulled = other.pull(s3)
    assert pulled.digest == pushed.digest
    np.testing.assert_array_equal(vectors(project, "v1"), vectors(other, pulled.version.name))
    for content in written(tmp_path):
        assert KEY.encode() not in content
        assert SECRET.encode() not in content


def test_object_storage_that_refuses_or_lacks_the_bucket(
    project: Project, s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match="no complete artifact"):
        project.pull(s3)
    missing = f"s3://bucket-that-is-not-there-{os.getpid()}/v1"
    with pytest.raises(ArtifactError, match="cannot be written") as refusal:
        project.push("v1", missing)
    assert SECRET not in str(refusal.value)
    import s3fs

    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:1/?key={SECRET}")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(ArtifactError) as refusal:
        project.pull(s3)
    assert SECRET not in str(refusal.value)
    assert all(SECRET.encode() not in content for content in written(tmp_path))


def test_a_replaced_object_is_not_registered(project: Project, other: Project, s3: str) -> None:
    import s3fs

    project.push("v1", s3)
    files = s3fs.S3FileSystem()
    size = files.size(f"{s3}/onnx/model_qint8.onnx")
    files.pipe_file(f"{s3}/onnx/model_qint8.onnx", b"\0" * size)
    with pytest.raises(ArtifactError, match="is not the file that the manifest names"):
        other.pull(s3)
    assert [version.name for version in other.registry.versions()] == ["v1"]
    assert not (other.artifact_folder("v2")).exists()


def test_what_is_here_already_is_not_a_version_twice(project: Project, tmp_path: Path) -> None:
    address = str(tmp_path / "there")
    project.push("v1", address)
    pulled = project.pull(address)
    assert (pulled.version.name, pulled.new) == ("v1", False)


def test_names(project: Project, other: Project, tmp_path: Path) -> None:
    address = str(tmp_path / "there")
    project.push("v1", address)
    with pytest.raises(Conflict, match="v1 already"):
        other.pull(address, name="v1")
    for name in ("../../x", "v0", "v01", "/etc/v1", "v1/../v2", "V7", "v7 ", "v9999999", ""):
        with pytest.raises(RegistryError, match="A version's name is"):
            other.pull(address, name=name)
    assert other.pull(address, name="v7").version.name == "v7"
    assert other.registry.add_version(base="b", kind="base", recipe={}).name == "v8"
    again = other.pull(address)
    assert (again.version.name, again.new) == ("v7", False)


def test_lineage_travels_so_that_leaks_are_told(
    project: Project, other: Project, tmp_path: Path
) -> None:
    hashes = [query_hash(text) for text in ("what is a list", "flatten a list")]
    project.registry.execute("UPDATE versions SET kind = 'fine-tuned'")
    project.registry.record_training_queries("v1", hashes)
    project.push("v1", str(tmp_path / "with"))
    project.push("v1", str(tmp_path / "without"), Load(lineage=False))
    pulled = other.pull(str(tmp_path / "with")).version
    assert other.registry.trained_on(pulled.name, hashes) == set(hashes)
    assert Lineage(other.registry).trained(pulled.name) == [pulled.name]
    assert b"flatten" not in b"".join(written(tmp_path / "with")).replace(
        (tmp_path / "with/tokenizer.json").read_bytes(), b""
    ).replace((tmp_path / "with/manifest.json").read_bytes(), b"")
    with project_with(tmp_path / "third", 0) as third:
        unknown = third.pull(str(tmp_path / "without")).version
        assert unknown.kind == "fine-tuned"
        assert "whether it was trained on judged queries" in unknown_lineage(third, unknown.name)[0]
    assert unknown_lineage(other, pulled.name) == []
    for content in written(tmp_path / "without"):
        assert hashes[0].encode() not in content


def test_what_an_origin_says_is_not_trusted(
    project: Project, other: Project, tmp_path: Path
) -> None:
    """Whoever writes the place writes the note, too."""
    from tests.transport_fixtures import rename_in_manifest

    project.push("v1", str(tmp_path / "there"))
    note = {
        "kind": "'; DROP TABLE versions; --", "project": "<script>alert(1)</script>\x1b[31m",
        "version": "../../v9", "trained_on": ["x" * 32, 7, None, "../../x"], "metrics": [1],
        "report": "none",
    }  # fmt: skip
    import hashlib

    content = json.dumps(note).encode()
    (tmp_path / "there/reindex.json").write_bytes(content)
    extras = json.loads((tmp_path / "there/manifest.json").read_text("utf-8"))["extras"]
    extras["reindex.json"] = hashlib.sha256(content).hexdigest()
    rename_in_manifest(tmp_path / "there", extras=extras)
    version = other.pull(str(tmp_path / "there")).version
    assert (version.kind, version.metrics) == ("base", {})
    assert pulled_from(version)["project"] == "scriptalert1script31m"
    assert other.registry.trained_hashes(version.name) == set()


def test_the_commands(project: Project, other: Project, tmp_path: Path) -> None:
    there = str(tmp_path / "there")
    here, elsewhere = str(project.settings.root), str(other.settings.root)
    run = CliRunner().invoke(main, ["-c", here, "push", "v1", there, "--graph", "int8", "--json"])
    assert run.exit_code == 0, run.output
    digest = json.loads(run.stdout)["digest"]
    run = CliRunner().invoke(
        main, ["-c", elsewhere, "pull", there, "--digest", "sha256:" + "1" * 64]
    )
    assert run.exit_code == 1
    assert "holds another artifact than the one asked for" in run.stderr
    run = CliRunner().invoke(
        main, ["-c", elsewhere, "pull", there, "--digest", digest, "--name", "v5"]
    )
    assert run.exit_code == 0, run.output
    assert "v5: small, 32 dimensions" in run.stdout
    assert "reindex build v5" in run.stdout
    run = CliRunner().invoke(main, ["-c", elsewhere, "pull", there, "--name", "../../x"])
    assert run.exit_code == 1
    run = CliRunner().invoke(main, ["-c", here, "push", "v1", "s3://me:secret-word@b/k"])
    assert run.exit_code == 1
    assert "secret-word" not in run.output


KILLED = """
import os, signal, sys
from pathlib import Path
from reindex.project import Project
from reindex.transport.places import FolderPlace, _OneByOne
from reindex.transport.fetch import _Download

left = int(sys.argv[3])
def dying(function):
    def inner(*given):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*given)
    return inner

FolderPlace._put = dying(FolderPlace._put)
_Download._one = dying(_Download._one)
with Project.open(sys.argv[1]) as project:
    if sys.argv[4] == "push":
        project.push("v1", sys.argv[2])
    else:
        print(project.pull(sys.argv[2]).version.name)
"""


def killed(folder: Path, address: Path, after: int, what: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), str(address), str(after), what],
        capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "after", [pytest.param(0, marks=pytest.mark.slow), 3, pytest.param(7, marks=pytest.mark.slow)]
)
def test_killed_half_way_and_run_again(
    project: Project, other: Project, tmp_path: Path, after: int
) -> None:
    there = tmp_path / "there"
    assert killed(project.settings.root, there, after, "push").returncode == -signal.SIGKILL
    with pytest.raises(ArtifactError, match="no complete artifact"):
        other.pull(str(there))
    pushed = project.push("v1", str(there))
    assert (pushed.sent, pushed.kept) == (9 - after, after)
    assert killed(other.settings.root, there, after, "pull").returncode == -signal.SIGKILL
    assert [version.name for version in other.registry.versions()] == ["v1"]
    assert list((other.settings.home / "artifacts").glob("v*")) == []
    done = killed(other.settings.root, there, 99, "pull")
    assert done.stdout.strip() == "v2", done.stderr
    assert load_manifest(other.artifact_folder("v2")).space
