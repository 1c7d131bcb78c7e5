"""Formulas of the plan, by hand, and the sample that feeds them."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from reindex.forecast import LOG_BYTES, Shape, seconds_of
from reindex.records import Document
from reindex.stages.sampling import take_sample
from tests.build_fixtures import BadRow, ListSource, doc, docs

TWO_STAGE = Shape(points=1_000_000, dim=384, prefix_dim=128, payload_bytes=1000)


def test_embedded_room() -> None:
    assert TWO_STAGE.memory == 1_000_000 * 128 * 4
    assert TWO_STAGE.disk == 1_000_000 * (4 * 512 + 1000 + 420 + 30) + LOG_BYTES
    assert TWO_STAGE.single().memory == 1_000_000 * 384 * 4
    assert TWO_STAGE.single().disk < TWO_STAGE.disk
    assert TWO_STAGE.truncated().memory == TWO_STAGE.memory
    assert TWO_STAGE.truncated().disk < TWO_STAGE.single().disk
    assert (TWO_STAGE.layout, TWO_STAGE.single().layout) == ("two-stage", "single")


def test_a_server_has_graphs_copies_shards_and_quantization() -> None:
    server = replace(TWO_STAGE, server=True)
    assert server.memory == 1.5 * TWO_STAGE.memory
    assert server.quantized().memory * 4 == server.memory
    assert server.quantized().disk > server.disk
    three = replace(server, copies=3, shards=4)
    assert three.memory == 3 * server.memory
    assert three.disk == 3 * (server.disk + 3 * LOG_BYTES)


@pytest.mark.parametrize(
    ("texts", "documents", "throttle", "seconds"),
    [
        (1000, 1000, None, 10),
        (1000, 1000, 50, 20),
        (1000, 1000, 5000, 10),
        (0, 50_000, None, 50),
        (100, 50_000, None, 50),
    ],
)
def test_the_slowest_stage_counts(
    texts: int, documents: int, throttle: float | None, seconds: float
) -> None:
    assert seconds_of(
        texts, documents, encode_rate=100, read_rate=1000, throttle=throttle
    ) == pytest.approx(seconds)


def test_a_sample_is_spread_over_the_source() -> None:
    sample = take_sample(ListSource(docs(10_000)), size=500, seconds=1e9)
    numbers = [int(str(item.id).removeprefix("doc-")) for item in sample.chosen]
    assert len(set(numbers)) == 500
    assert 4500 < sum(numbers) / 500 < 5500  # five standard errors are 645
    assert (sample.total, sample.complete, sample.repeated) == (10_000, True, 0)


def test_reading_ends_in_time_and_the_rest_is_estimated() -> None:
    ticks = count()
    source = ListSource(docs(10_000))
    sample = take_sample(source, size=100, seconds=3, clock=lambda: float(next(ticks)))
    assert not sample.complete
    assert 1000 < sample.documents < 2000
    assert sample.total == 10_000  # the source says so


def test_bad_rows_and_equal_texts_are_counted() -> None:
    rows: list[Document | BadRow] = [doc(f"d{n}", f"text {n % 25}") for n in range(100)]
    rows += [BadRow(None)] * 10
    sample = take_sample(ListSource(rows), size=1000, seconds=1e9)
    assert sample.bad_share == pytest.approx(10 / 110)
    assert sample.first_bad == "list:a:100: bad"
    assert sample.repeated == pytest.approx(0.75)
    assert sample.payload_bytes == pytest.approx(len('{"text": "text 10"}'), abs=1)
