"""The sorted runs on disk against a dict, and packed ids against the records' own."""

from __future__ import annotations

import resource
import uuid
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reindex.build.spill import SortedRuns
from reindex.errors import DiskFull
from reindex.point_ids import KEY_BYTES, pack_id, point_key, unpack_id
from reindex.records import PointId, point_id

IDS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.uuids().map(str),
    st.uuids().map(lambda id: str(id).upper()),
)
KEYS = st.binary(min_size=4, max_size=4)


@given(IDS)
def test_point_key_is_the_records_point_id(id: int | str) -> None:
    assert point_key(id) == (point_id(id), pack_id(point_id(id)))


@given(st.one_of(st.integers(0, 2**64 - 1), st.uuids().map(str)))
def test_packed_ids_come_back(id: int | str) -> None:
    assert len(pack_id(id)) == KEY_BYTES
    assert unpack_id(pack_id(id)) == id


def test_packed_ids_sort_as_stores_scroll() -> None:
    low, middle, high = (str(uuid.UUID(int=number)) for number in (0, 1, 2**127))
    ids: list[PointId] = [2**63, 0, middle, 7, high, low]
    assert sorted(ids, key=pack_id) == [0, 7, 2**63, low, middle, high]


@given(st.lists(st.tuples(KEYS, st.binary(min_size=3, max_size=3)), max_size=60))
def test_runs_are_a_dict(entries: list[tuple[bytes, bytes]]) -> None:
    expected: dict[bytes, bytes] = {}
    runs = SortedRuns(key=4, value=3, tail=4)
    for key, value in entries:
        assert runs.find([key]) == [expected.get(key)]
        if key not in expected:
            expected[key] = value
            runs.add(key, value)
    assert len(runs) == len(expected)
    asked = [*expected, b"\0\0\0\0", b"\xff\xff\xff\xff"]
    assert runs.find(asked) == [expected.get(key) for key in asked]


@pytest.mark.parametrize("key", [b"\0\0\0\0", b"a\0\0\0", b"\0\0\0a", b"\xff\xff\xff\0"])
def test_nul_bytes_are_part_of_a_key(key: bytes) -> None:
    runs = SortedRuns(key=4, value=2, tail=1)
    runs.add(key, b"\1\0")
    assert runs.find([key, b"b\0\0\0"]) == [b"\1\0", None]


def test_thousands_of_keys_on_disk() -> None:
    runs = SortedRuns(key=KEY_BYTES, tail=64)
    rows = np.random.default_rng(0).integers(0, 256, (64 * 37, KEY_BYTES), dtype=np.uint8)
    keys = [row.tobytes() for row in rows]
    for key in keys[::2]:
        runs.add(key)
    assert runs.find(keys) == [b"", None] * (len(keys) // 2)


def test_no_file_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    runs = SortedRuns(key=4, tail=1)
    runs.add(b"abcd")
    assert runs.find([b"abcd"]) == [b""]
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_and_no_crash() -> None:
    """A mapping over a file without room would end the process with SIGBUS."""
    runs = SortedRuns(key=4, tail=1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(DiskFull, match="TMPDIR"):
            runs.add(b"abcd")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
