"""Artifacts on their way: what is fetched is whole, is what was pushed, and runs nothing."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
import pytest
from onnx import helper

from reindex.artifact import load_manifest
from reindex.encoder import load_encoder
from reindex.errors import ArtifactError, ConfigError, DiskFull
from reindex.transport import Package, Wish, fetch, open_place, push_artifact
from reindex.transport.address import scrubbed, shown
from reindex.transport.contents import check_contents, check_formats, check_names
from reindex.transport.graphs import external_data
from reindex.transport.places import FolderPlace
from tests.small_artifact import small_artifact, write_graph
from tests.transport_fixtures import add_listed, rename_in_manifest


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_artifact(tmp_path_factory.mktemp("made") / "v1")


@pytest.fixture
def pushed(made: Path, tmp_path: Path) -> Path:
    """A folder with a pushed artifact, which a test may damage."""
    push_artifact(open_place(str(tmp_path / "there")), Package(made, {"version": "v1"}))
    return tmp_path / "there"


def fetched(place: Path, wish: Wish | None = None) -> Path:
    return fetch(FolderPlace(place), place.parent / "here", wish).folder


def refused(place: Path, match: str) -> None:
    """The artifact is refused, and nothing that looks whole is left."""
    with pytest.raises(ArtifactError, match=match):
        fetched(place)
    here = place.parent / "here"
    assert not list(here.glob("*/manifest.json")) if here.exists() else True


# -- there and back


@pytest.mark.parametrize("address", ["{}/there", "file://{}/there", "memory://{}/there"])
def test_what_is_fetched_is_what_was_pushed(made: Path, tmp_path: Path, address: str) -> None:
    place = open_place(address.format(tmp_path))
    done = push_artifact(place, Package(made, {"version": "v1"}))
    found = fetch(place, tmp_path / "here")
    assert found.digest == done.digest
    with load_encoder(made) as ours, load_encoder(found.folder) as theirs:
        text = ["the text of document number 7"]
        np.testing.assert_array_equal(ours.encode_queries(text), theirs.encode_queries(text))


def test_pushing_again_sends_nothing(made: Path, tmp_path: Path) -> None:
    place = open_place(str(tmp_path / "there"))
    first = push_artifact(place, Package(made))
    again = push_artifact(place, Package(made))
    assert (again.sent, again.kept, again.digest) == (0, first.sent, first.digest)


def test_a_push_that_was_cut_is_no_artifact_and_goes_on(made: Path, tmp_path: Path) -> None:
    class Cut(FolderPlace):
        def _put(self, name: str, file: Path) -> None:
            if name.startswith("onnx/"):
                raise KeyboardInterrupt
            super()._put(name, file)

    with pytest.raises(KeyboardInterrupt):
        push_artifact(Cut(tmp_path / "there"), Package(made))
    refused(tmp_path / "there", "no complete artifact")
    done = push_artifact(FolderPlace(tmp_path / "there"), Package(made))
    assert done.kept > 0
    assert load_manifest(fetched(tmp_path / "there")).space == load_manifest(made).space


def test_a_fetch_that_was_cut_goes_on_within_the_file(pushed: Path, tmp_path: Path) -> None:
    class Cut(FolderPlace):
        """Ends in the middle of the first graph."""

        asked: list[tuple[str, int]]

        def read(self, name: str, start: int = 0) -> BinaryIO:
            stream = super().read(name, start)
            if name.endswith(".onnx"):
                return Broken(stream)  # type: ignore[return-value]
            return stream

    class Broken:
        def __init__(self, stream: BinaryIO) -> None:
            self.stream, self.reads = stream, 0

        def read(self, size: int) -> bytes:
            self.reads += 1
            if self.reads > 1:
                raise KeyboardInterrupt
            return self.stream.read(1000)

        def __enter__(self) -> Broken:
            return self

        def __exit__(self, *_: object) -> None:
            self.stream.close()

    class Counting(FolderPlace):
        def read(self, name: str, start: int = 0) -> BinaryIO:
            starts[name] = start
            return super().read(name, start)

    starts: dict[str, int] = {}
    with pytest.raises(KeyboardInterrupt):
        fetch(Cut(pushed), tmp_path / "here")
    assert not list((tmp_path / "here").glob("*/manifest.json"))
    found = fetch(Counting(pushed), tmp_path / "here")
    assert starts["onnx/model_qint8.onnx"] == 1000 or starts["onnx/model.onnx"] == 1000
    assert "tokenizer.json" not in starts, "it was here already"
    assert load_encoder(found.folder).space


def test_a_part_that_was_damaged_meanwhile_is_fetched_anew(pushed: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256((pushed / "manifest.json").read_bytes()).hexdigest()
    part = tmp_path / "here" / f".{digest}.part" / "onnx" / "model.onnx.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"something else")
    assert load_encoder(fetched(pushed)).space


def test_one_graph_alone(made: Path, tmp_path: Path) -> None:
    place = open_place(str(tmp_path / "there"))
    push_artifact(place, Package(made, graphs=("int8",)))
    assert not (tmp_path / "there/onnx/model.onnx").exists()
    folder = fetched(tmp_path / "there")
    whole, part = load_manifest(made), load_manifest(folder)
    assert part.present == ("int8",)
    assert load_encoder(folder).space == whole.space
    # what may stand in one collection is still known
    assert part.certified_with(whole.encoding("fp32")) == whole.certified_with(
        whole.encoding("fp32")
    )
    with pytest.raises(ArtifactError, match=r"came without the graph 'fp32'.*--graph fp32"):
        load_encoder(folder, graph="fp32")
    with pytest.raises(ArtifactError, match="has no graph fp32"):
        push_artifact(open_place(str(tmp_path / "on")), Package(folder, graphs=("fp32",)))


def test_weights_and_card_travel_with_checksums(made: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    weights = {"model.safetensors": tmp_path / "model.safetensors"}
    there = tmp_path / "there"
    push_artifact(open_place(str(there)), Package(made, {"project": "shop"}, weights))
    folder = fetched(there)
    assert (folder / "model.safetensors").exists()
    assert (folder / "README.md").read_text("utf-8").startswith("---\nlibrary_name: sentence-tr")
    (there / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0[]")
    shutil.rmtree(tmp_path / "here")
    refused(there, r"model\.safetensors is not the file that the manifest names")


def test_a_base_that_is_a_folder_of_this_host_is_told_by_its_name(
    made: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    rename_in_manifest(copy, base="/home/someone/models/bert")
    push_artifact(open_place(str(tmp_path / "there")), Package(copy))
    for file in (tmp_path / "there").rglob("*"):
        assert file.is_dir() or b"/home/someone" not in file.read_bytes()


# -- not what it says


def test_another_digest_than_asked_for(pushed: Path) -> None:
    with pytest.raises(ArtifactError, match="holds another artifact than the one asked for"):
        fetched(pushed, Wish(digest="sha256:" + "0" * 64))
    digest = hashlib.sha256((pushed / "manifest.json").read_bytes()).hexdigest()
    assert fetched(pushed, Wish(digest=f"sha256:{digest}")).name == digest


@pytest.mark.parametrize("name", ["tokenizer.json", "onnx/model.onnx", "onnx/model_qint8.onnx",
                                  "config.json", "README.md", "reindex.json"])  # fmt: skip
def test_a_file_that_was_replaced(pushed: Path, name: str) -> None:
    file = pushed / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    refused(pushed, "is not the file that the manifest names")


def test_a_file_that_is_gone(pushed: Path) -> None:
    (pushed / "config.json").unlink()
    refused(pushed, r"not complete: it lacks config\.json")


def test_one_that_was_fetched_and_damaged_since_is_fetched_again(pushed: Path) -> None:
    folder = fetched(pushed)
    (folder / "tokenizer.json").write_text("{}")
    assert load_encoder(fetched(pushed)).space


def test_another_version_is_not_pushed_over_one(pushed: Path, tmp_path: Path) -> None:
    other = small_artifact(tmp_path / "v2", seed=2)
    with pytest.raises(ArtifactError, match=r"holds another artifact.*Versions do not change"):
        push_artifact(FolderPlace(pushed), Package(other))
    assert load_manifest(fetched(pushed)).weights.endswith("1")


def test_a_damaged_artifact_is_not_pushed(made: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    (copy / "tokenizer.json").write_text("{}")
    with pytest.raises(ArtifactError, match="is not the file that was exported"):
        push_artifact(FolderPlace(tmp_path / "there"), Package(copy))
    assert not (tmp_path / "there").exists()


def test_more_than_is_taken(pushed: Path) -> None:
    with pytest.raises(ArtifactError, match=r"at most 1e-06 GB are taken.*--max-gb"):
        fetched(pushed, Wish(largest=1000))


def test_a_file_longer_than_announced_is_cut_off(pushed: Path, tmp_path: Path) -> None:
    class Lying(FolderPlace):
        def sizes(self) -> dict[str, int]:
            return {name: min(size, 500) for name, size in super().sizes().items()}

    with pytest.raises(ArtifactError, match="longer than it said"):
        fetch(Lying(pushed), tmp_path / "here")
    assert all(f.stat().st_size <= 500 for f in (tmp_path / "here").rglob("*") if f.is_file())


def test_no_room(pushed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1))
    with pytest.raises(DiskFull, match="The artifact cannot be written"):
        fetched(pushed)


def test_a_manifest_without_end(pushed: Path) -> None:
    (pushed / "manifest.json").write_bytes(b" " * 16_000_001)
    refused(pushed, "has over 16,000,000 bytes")


# -- what no artifact may hold


@pytest.mark.parametrize(
    "name",
    ["../x.json", "/etc/passwd.json", "a/../../x.json", "a//b.json", "./a.json", "C:/x.json",
     "C:x.json", "\\\\host\\x.json", "..\\x.json", ".ssh/authorized_keys.txt", "a/.git/config.txt",
     "a\0.json", "a\n.json", "", "x" * 201 + ".json", "nul.json", "a./b.json", "a /b.json",
     "~/x.json", "a/b/c/d/e/f/g.json", "$(id).json"],
)  # fmt: skip
def test_names_that_lead_out_of_the_folder(pushed: Path, name: str) -> None:
    with pytest.raises(ArtifactError, match="Expected the plain name"):
        check_names([name])
    files = json.loads((pushed / "manifest.json").read_text("utf-8"))["files"]
    rename_in_manifest(pushed, files={**files, name: "0" * 64})
    refused(pushed, "Expected the plain name")


@pytest.mark.parametrize("names", [["a.json", "A.json"], ["a", "a/b.json"]])
def test_names_that_collide(names: list[str]) -> None:
    with pytest.raises(ArtifactError, match=r"one file on some|is a file and a folder"):
        check_names(names)


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "model.pt", "head.pkl", "a.pickle", "rng.pth", "w.npz", "m.ckpt"]
)
def test_nothing_that_would_be_unpickled(pushed: Path, name: str) -> None:
    with pytest.raises(ArtifactError, match="unpickle"):
        check_formats([name])
    add_listed(pushed, name, b"cos\nsystem\n(S'true'\ntR.")
    refused(pushed, "unpickle")


@pytest.mark.parametrize("name", ["modeling.py", "lib.so", "weights.zip", "a.tar.gz", "x.onnx.zip",
                                  "Makefile", "run.sh", "w.h5"])  # fmt: skip
def test_neither_code_nor_archives(pushed: Path, name: str) -> None:
    add_listed(pushed, name, b"something")
    refused(pushed, "is not of a format that an artifact holds")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", {"auto_map": {"AutoModel": "modeling.Evil"}}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["t.Evil", None]}}),
        ("modules.json", [{"idx": 0, "name": "0", "path": "", "type": "os.system"}]),
        ("modules.json", [{"path": "../..", "type": "sentence_transformers.models.Pooling"}]),
        (
            "2_Dense/config.json",
            {"in_features": 1, "out_features": 1, "activation_function": "os.system"},
        ),
    ],
)
def test_configs_that_make_loaders_run_code(pushed: Path, name: str, content: object) -> None:
    add_listed(pushed, name, json.dumps(content).encode())
    refused(pushed, r"code of the model's own|which a loader would import|plain name")


def test_a_document_without_end_is_refused(pushed: Path) -> None:
    add_listed(pushed, "deep.json", b"[" * 100_000)
    refused(pushed, "is no JSON document")


@pytest.mark.parametrize(
    "location", ["../tokenizer.json", "/etc/hostname", "../../../x", "weights.data"]
)
def test_graphs_that_read_elsewhere(pushed: Path, tmp_path: Path, location: str) -> None:
    file = pushed / "onnx/model.onnx"
    graph = helper.make_graph([], "g", [], [], [onnx.numpy_helper.from_array(np.ones(3), "w")])
    tensor = graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    file.write_bytes(helper.make_model(graph).SerializeToString())
    assert external_data(file) == [location]
    graphs = json.loads((pushed / "manifest.json").read_text("utf-8"))["graphs"]
    graphs["fp32"]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
    rename_in_manifest(pushed, graphs=graphs)
    refused(pushed, "which is not a file of this artifact")


def _in_a_branch(tensor: onnx.TensorProto) -> onnx.ModelProto:
    inner = helper.make_graph([], "inner", [], [], [tensor])
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    return helper.make_model(helper.make_graph([node], "g", [], []))


def _in_a_constant(tensor: onnx.TensorProto) -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["y"], value=tensor)
    return helper.make_model(helper.make_graph([node], "g", [], []))


def _in_a_function(tensor: onnx.TensorProto) -> onnx.ModelProto:
    node = helper.make_node("Constant", [], ["y"], value=tensor)
    model = helper.make_model(helper.make_graph([], "g", [], []))
    model.functions.append(
        helper.make_function("d", "f", [], ["y"], [node], [helper.make_opsetid("", 17)])
    )
    return model


def _sparse(tensor: onnx.TensorProto) -> onnx.ModelProto:
    indices = onnx.numpy_helper.from_array(np.zeros(1, np.int64), "i")
    sparse = helper.make_sparse_tensor(tensor, indices, [3])
    return helper.make_model(helper.make_graph([], "g", [], [], [], sparse_initializer=[sparse]))


@pytest.mark.parametrize("put", [_in_a_branch, _in_a_constant, _in_a_function, _sparse])
def test_data_elsewhere_is_found_wherever_a_tensor_can_be(
    tmp_path: Path, put: Callable[[onnx.TensorProto], onnx.ModelProto]
) -> None:
    tensor = onnx.numpy_helper.from_array(np.ones(1), "w")
    tensor.external_data.add(key="location", value="/etc/passwd")
    (tmp_path / "g.onnx").write_bytes(put(tensor).SerializeToString())
    assert external_data(tmp_path / "g.onnx") == ["/etc/passwd"]


@pytest.mark.parametrize("content", [b"", b"\xff" * 50, b"not a graph at all", b"\x3a\xff\x01x"])
def test_what_is_no_graph(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "g.onnx").write_bytes(content)
    with pytest.raises(ArtifactError, match="no ONNX graph"):
        external_data(tmp_path / "g.onnx")


def test_data_beside_a_graph_is_part_of_the_artifact(tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    write_graph(tmp_path / "onnx/m.onnx", np.ones((2, 2), np.float32), location="m.onnx_data")
    check_contents(tmp_path, ["onnx/m.onnx", "onnx/m.onnx_data"])
    with pytest.raises(ArtifactError, match="not a file of this artifact"):
        check_contents(tmp_path, ["onnx/m.onnx"])


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_links_are_not_followed(pushed: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "elsewhere"
    if kind == "file":
        shutil.move(pushed / "config.json", target)
        (pushed / "config.json").symlink_to(target)
    else:
        shutil.move(pushed / "onnx", target)
        (pushed / "onnx").symlink_to(target)
    refused(pushed, "is a link")


def test_an_archive_is_not_unpacked(pushed: Path, tmp_path: Path) -> None:
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", pushed))
    with pytest.raises(ArtifactError, match="archives are not unpacked"):
        fetch(open_place(str(packed)), tmp_path / "here")


def test_pickles_beside_the_place_hold_a_push_back(made: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ArtifactError, match=r"pytorch_model\.bin, which other loaders would unp"):
        push_artifact(FolderPlace(tmp_path / "there"), Package(made))


# -- addresses


@pytest.mark.parametrize(
    "address",
    ["", "  ", "zip://a.zip", "simplecache::s3://b/k", "tar://x::file://y", "s3://", "s3:///",
     "s3://bucket/../other", "reference://x", "S3 ://b", "hf://name", "hf://a/b/c", "hf://a/../b",
     "hf://org/name@../x", "nosuchscheme://x/y"],
)  # fmt: skip
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ConfigError):
        open_place(address)


@pytest.mark.parametrize(
    "address",
    [
        "s3://AKIAKEY:s3cr3t@bucket/k",
        "https://u:s3cr3t@host/p",
        "abfs://c/p?sig=s3cr3t",
        "s3://AKIAKEY:a/s3cr3t@b/k",
    ],
)
def test_credentials_in_an_address_are_refused_and_not_repeated(address: str) -> None:
    with pytest.raises(ConfigError, match="no credentials in addresses") as refusal:
        open_place(address)
    assert "s3cr3t" not in str(refusal.value)
    assert "AKIAKEY" not in str(refusal.value)
    assert "s3cr3t" not in shown(address)


def test_secrets_of_the_environment_are_taken_out_of_others_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret-value")
    told = scrubbed("denied: very-secret-value at https://me:pw@host/p?X-Sig=abc123 (403)")
    assert told == "denied: … at https://host/p?… (403)"
