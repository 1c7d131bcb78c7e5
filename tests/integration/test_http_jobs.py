"""Long work over HTTP: jobs that are asked for, watched, ended, and that outlive their server."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from reindex.config import load_settings
from reindex.registry.jobs import JobBook
from reindex.server.app import make_app
from tests.hash_project import HashWorkspace, hash_project, write_documents
from tests.help_centre import HelpProject, help_project
from tests.http_fixtures import ServeProcess, key
from tests.owner_fixtures import run_json, until
from tests.qdrant_server import QdrantProcess
from tests.server_project import hurried_store, server_project

TEXTS = [f"text number {n}" for n in range(400)]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[HelpProject]:
    """v1 is live; v2 is there, and not built."""
    with help_project(tmp_path, resamples=200) as project:
        project.build("v1")
        project.promote("v1")
        yield project


@pytest.fixture
def client(project: HelpProject) -> Iterator[TestClient]:
    with TestClient(make_app(project), raise_server_exceptions=False) as client:
        client.headers.update(key(project, "operate", "read", name="ci"))
        yield client


def ended(client: TestClient, job: dict[str, Any]) -> dict[str, Any]:
    """The job once it has ended."""

    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = client.get(f"/v1/jobs/{job['id']}").json()
        return found if found["ended_at"] else None

    return until(look, "the end of the job")


def test_build_compare_promote_and_back(client: TestClient, project: HelpProject) -> None:
    answer = client.post("/v1/builds", json={"version": "v2"})
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/jobs/{answer.json()['id']}"
    built = ended(client, answer.json())
    assert (built["state"], built["outcome"]["complete"]) == ("done", True)
    assert (built["arguments"]["name"], built["who"].split("@")[0]) == ("v2", "ci over HTTP")

    compared = ended(client, client.post("/v1/comparisons", json={"version": "v2"}).json())
    newest = client.get("/v1/comparisons").json()["comparisons"][0]
    assert compared["outcome"]["comparison"] == newest["id"]
    assert compared["outcome"]["verdict"] == newest["verdict"] == "pass"
    whole = client.get(f"/v1/comparisons/{newest['id']}").json()
    assert len(whole["scores"]["ndcg@10"]) == 150
    assert client.get("/v1/comparisons/99").status_code == 404

    asked = {"version": "v2", "background": True}
    answer = client.post("/v1/promote", json=asked)
    assert answer.status_code == 202
    flipped = ended(client, answer.json())
    assert flipped["outcome"]["promotion"]["to_collection"] == "help-centre--v2"
    assert project.live_collection() == "help-centre--v2"

    answer = client.post("/v1/rollback", json={"background": True, "reason": "a test"})
    back = ended(client, answer.json())
    assert (back["state"], back["outcome"]["reason"]) == ("done", "a test")
    assert project.live_collection() == "help-centre--v1"
    kinds = [job["kind"] for job in client.get("/v1/jobs").json()["jobs"]]
    assert kinds == ["rollback", "promote", "compare", "build"]
    assert client.get("/v1/jobs", params={"state": "open"}).json() == {"jobs": []}
    runs = {row.kind for row in project.registry.runs()}
    assert {"build", "compare", "promote", "rollback"} <= runs


def test_what_cannot_be_done_is_told(client: TestClient, project: HelpProject) -> None:
    assert client.post("/v1/builds", json={"version": "v9"}).status_code == 404
    assert client.post("/v1/comparisons", json={}).status_code == 400
    assert client.get("/v1/jobs/77").status_code == 404
    assert client.post("/v1/jobs/77/cancel").status_code == 404
    assert client.post(f"/v1/jobs/{2**63}/cancel").status_code == 400
    assert client.get(f"/v1/jobs/{2**63}").status_code == 400
    job = ended(client, client.post("/v1/comparisons", json={"version": "v2"}).json())
    assert (job["state"], job["error"]["code"]) == ("failed", "ComparisonError")
    assert "reindex build v2" in job["error"]["message"]
    assert client.post(f"/v1/jobs/{job['id']}/cancel").status_code == 409
    refused = client.post("/v1/promote", json={"version": "v2"})
    assert refused.status_code == 409
    assert [job["state"] for job in client.get("/v1/jobs").json()["jobs"]] == ["failed", "failed"]


@pytest.mark.parametrize("path", ["/v1/builds", "/v1/comparisons", "/v1/jobs/1/cancel"])
def test_asking_needs_the_scope(client: TestClient, project: HelpProject, path: str) -> None:
    reader = key(project, "read", "write", name="reader")
    assert client.post(path, json={"version": "v2"}, headers=reader).status_code == 403


class Held:
    """An encoder that embeds documents only once it is let go."""

    def __init__(self, project: HelpProject) -> None:
        self.reached, self.go = threading.Event(), threading.Event()
        make = project.encoder

        def held(version: Any, **given: Any) -> Any:
            encoder = make(version, **given)
            embed = encoder.encode_documents

            def wait(texts: Any) -> Any:
                self.reached.set()
                assert self.go.wait(60)
                return embed(texts)

            encoder.encode_documents = wait
            return encoder

        type(project).encoder = lambda _, version, **given: held(version, **given)  # type: ignore


@pytest.fixture
def held(project: HelpProject, monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    monkeypatch.setattr(HelpProject, "encoder", HelpProject.encoder)  # is put back
    held = Held(project)
    yield held
    held.go.set()


def test_one_that_runs_is_told_paused_and_ended(
    client: TestClient, project: HelpProject, held: Held
) -> None:
    job = client.post("/v1/builds", json={"version": "v2"}).json()
    assert held.reached.wait(60)
    again = client.post("/v1/builds", json={"version": "v2"}).json()
    assert again["id"] == job["id"]  # the same work is not done twice
    behind = client.post("/v1/comparisons", json={"version": "v2"}).json()
    told = client.get(f"/v1/jobs/{job['id']}").json()
    assert told["state"] == "running"
    assert [(run["kind"], run["version"]) for run in told["progress"]] == [("build", "v2")]
    assert client.get(f"/v1/jobs/{behind['id']}").json()["state"] == "waiting"
    assert 'reindex_jobs{kind="build",state="running"} 1.0' in client.get("/metrics").text

    assert client.post(f"/v1/jobs/{job['id']}/pause").status_code == 200
    assert client.post(f"/v1/jobs/{job['id']}/resume").status_code == 200
    assert client.post(f"/v1/jobs/{behind['id']}/pause").status_code == 409  # it has not begun
    waiting = client.post(f"/v1/jobs/{behind['id']}/cancel").json()
    assert (waiting["state"], waiting["error"]["code"]) == ("cancelled", "Cancelled")
    client.post(f"/v1/jobs/{job['id']}/cancel")
    held.go.set()
    stopped = ended(client, job)
    assert stopped["state"] == "cancelled"
    assert "ci over HTTP" in stopped["error"]["message"]
    assert ended(client, client.post("/v1/builds", json={"version": "v2"}).json())["outcome"][
        "complete"
    ]


def test_the_end_of_the_server_is_the_jobs_end_too(project: HelpProject, held: Held) -> None:
    with TestClient(make_app(project)) as client:
        client.headers.update(key(project, "operate", "read"))
        jobs = [
            client.post("/v1/builds", json={"version": "v2"}).json(),
            client.post("/v1/comparisons", json={"version": "v2"}).json(),
        ]
        assert held.reached.wait(60)
        threading.Timer(0.2, held.go.set).start()
    book = JobBook(project.registry)
    found = [book.get(job["id"]) for job in jobs]
    assert [job.state for job in found] == ["interrupted", "interrupted"]
    assert "told to end" in found[0].outcome["error"]["message"]


@pytest.mark.slow
def test_over_a_qdrant_server_that_then_dies(tmp_path: Path) -> None:
    with (
        QdrantProcess(tmp_path) as process,
        server_project(tmp_path / "project", process.url) as project,
    ):
        project.build("v1")
        project.promote("v1")
        project.__dict__["store"] = hurried_store(process.url, attempts=2)
        with TestClient(make_app(project), raise_server_exceptions=False) as client:
            client.headers.update(key(project, "operate"))
            built = ended(client, client.post("/v1/builds", json={"version": "v2"}).json())
            assert built["outcome"]["complete"] is True
            compared = ended(client, client.post("/v1/comparisons", json={"version": "v2"}).json())
            assert compared["state"] == "done"
            assert client.get("/health/ready").status_code == 200
            assert "reindex_store_up 1.0" in client.get("/metrics").text
            process.kill()
            answer = client.get("/health/ready")
            assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
            figures = client.get("/metrics")
            assert (figures.status_code, "reindex_store_up 0.0" in figures.text) == (200, True)
            page = client.get("/")
            assert "What follows is what the registry knows" in page.text
            assert client.get(f"/v1/jobs/{built['id']}").json()["state"] == "done"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_documents(tmp_path, TEXTS)
    with hash_project(tmp_path, embed={"batch_size": 8}) as project:
        project.build("v1")
        project.promote("v1")
    return tmp_path


@pytest.mark.slow
def test_killed_in_the_middle_of_a_build(folder: Path) -> None:
    secret = run_json(folder, "keys", "add", "ci", "--scope", "operate")["key"]
    headers = {"Authorization": f"Bearer {secret}"}
    with ServeProcess(folder, REINDEX_TEST_PACE="1") as served:
        status, job = served.call("POST", "/v1/builds", {"version": "v2"}, headers)
        assert status == 202

        def far() -> bool:
            _, found = served.call("GET", f"/v1/jobs/{job['id']}")
            return any(run["done"] for run in found["progress"])

        until(far, "progress")
        assert [row["kind"] for row in run_json(folder, "jobs")["jobs"]] == ["build"]
        os.kill(served.process.pid, signal.SIGKILL)
        served.process.wait()
    with ServeProcess(folder) as served:
        _, found = served.call("GET", f"/v1/jobs/{job['id']}")
        assert (found["state"], found["progress"]) == ("interrupted", [])
        assert "goes on from there" in found["error"]["message"]
        _, status = served.call("GET", "/v1/status")
        assert [row["state"] for row in status["collections"]] == ["complete", "incomplete"]
        again = served.call("POST", "/v1/builds", {"version": "v2"}, headers)[1]
        assert again["id"] != job["id"]

        def done() -> Any:
            found = served.call("GET", f"/v1/jobs/{again['id']}")[1]
            return found if found["ended_at"] else None

        end = until(done, "the end of the second build")
        assert (end["state"], end["outcome"]["complete"]) == ("done", True)
        assert end["outcome"]["unchanged"] + end["outcome"]["cached"] > 0
        served.end(signal.SIGTERM)
    with HashWorkspace(load_settings(folder)) as project:
        assert project.store.count("docs--v2") == len(TEXTS)
