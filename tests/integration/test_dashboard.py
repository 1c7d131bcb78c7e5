"""The dashboard without a browser: who sees and does what, and that nothing is let through."""

from __future__ import annotations

import html
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from reindex.registry.api_keys import ApiKeys
from reindex.registry.interactions import INTERACTIONS_NAME
from reindex.server.app import make_app
from tests.copying import copy_project
from tests.help_centre import HelpProject
from tests.http_fixtures import key
from tests.owner_fixtures import until

EVIL = "<img src=x onerror=alert(1)> \"'&"
PAGES = (
    "/", "/ui/versions/v2", "/ui/comparisons/1", "/ui/comparisons/1/queries/0", "/ui/search",
    "/ui/search?q=bill&beside=v2", "/ui/jobs", "/ui/history", "/ui/login", "/docs",
    "/ui/versions/v2/report", "/ui/parts/activity", "/ui/parts/versions", "/ui/parts/live",
)  # fmt: skip


@pytest.fixture
def project(help_centre: Path, tmp_path: Path) -> Iterator[HelpProject]:
    with HelpProject.open(copy_project(help_centre, tmp_path / "project")) as project:
        yield project


@pytest.fixture
def client(project: HelpProject) -> Iterator[TestClient]:
    app = make_app(project)
    with TestClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


def csrf(page: Any) -> str:
    found = re.search(r'name="csrf" value="(\w+)"', page.text)
    assert found, page.text
    return found[1]


def log_in(client: TestClient, project: HelpProject, *scopes: str, name: str = "ann") -> str:
    """Logged in with a new key; the session's token for forms."""
    secret = key(project, *scopes, name=name)["Authorization"].split()[1]
    fields = {"key": secret, "csrf": csrf(client.get("/ui/login")), "next": "/ui/history"}
    answer = client.post("/ui/login", data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/history")
    return csrf(client.get("/"))


class TestReading:
    @pytest.mark.parametrize("path", PAGES)
    def test_every_page_is_open_and_keeps_to_itself(self, client: TestClient, path: str) -> None:
        answer = client.get(path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert not re.search(r"\son\w+=|javascript:|style=", answer.text)
        assert set(re.findall(r'(?:src|href)="(https?:[^"]*)', answer.text)) == set()

    def test_what_is_live_and_how_it_compares(self, client: TestClient) -> None:
        page = html.unescape(client.get("/").text)
        assert "help-centre--v2" in page
        assert "compared with v1" in page
        assert "Promote" not in page  # read-only without a key
        assert "<form" not in page
        comparison = client.get("/ui/comparisons/1").text
        assert comparison.count('<svg class="chart"') >= 3
        assert "page 1 of 3" in comparison
        first = client.get("/ui/comparisons/1?sort=best").text
        assert re.search(r"strong up\">\+", first)
        assert client.get("/ui/comparisons/1?sort=nonsense&page=999").status_code == 200

    def test_both_sides_of_a_search(self, client: TestClient, project: HelpProject) -> None:
        query = "How do I recover my pattern?"
        page = client.get("/ui/search", params={"q": query, "beside": "v2", "k": 3}).text
        sides = page.split("live v1")[1].split("candidate v2")
        for side, version in zip(sides, ("v1", "v2"), strict=True):
            hits = project.retriever(version).search(query, 3)
            assert re.findall(r"(help-\d+) · score", side) == [hit.id for hit in hits]
        assert "only here" in sides[0]
        assert "Restore a template" in sides[1]
        project.recorder.flush()
        with closing(sqlite3.connect(project.settings.home / INTERACTIONS_NAME)) as interactions:
            assert interactions.execute("SELECT count(*) FROM searches").fetchone() == (0,)

    @pytest.mark.parametrize(
        "path", ["/ui/comparisons/99", "/ui/comparisons/x", "/ui/versions/v9", "/ui/jobs/9",
                 "/ui/jobs/9223372036854775808",
                 "/ui/comparisons/1/queries/9999", "/ui/parts/x", "/ui/search?q=a&beside=v9"],
    )  # fmt: skip
    def test_what_is_not_there_is_a_page_too(self, client: TestClient, path: str) -> None:
        answer = client.get(path)
        assert answer.status_code == 404
        assert "That did not work" in answer.text

    def test_assets(self, client: TestClient) -> None:
        assert client.get("/ui/static/style.css").headers["content-type"].startswith("text/css")
        assert "fetch" in client.get("/ui/static/live.js").text
        assert client.get("/ui/static/pages.py").status_code == 404
        assert client.get("/ui/static/..%2fpages.py").status_code == 404

    def test_hostile_texts_stay_texts(self, client: TestClient, project: HelpProject) -> None:
        headers = key(project, "write")
        document = {"id": EVIL, "text": f"bill {EVIL}", "payload": {"title": EVIL}}
        done = client.post("/v1/documents", json={"documents": [document]}, headers=headers)
        assert done.status_code == 200
        secret = log_in(client, project, "operate", name="mallory")
        client.post("/ui/versions/v2/promote", data={
            "csrf": secret, "live": "help-centre--v1", "force": "yes", "reason": EVIL,
        })  # fmt: skip
        until(lambda: len(project.history()) > 1, "the flip")
        for path in (*PAGES, f"/ui/search?q={EVIL}&k=50", f"/ui/login?next={EVIL}",
                     f"/ui/versions/{EVIL}", "/ui/search?q=bill&k=50&beside=v1"):  # fmt: skip
            assert "<img" not in client.get(path).text, path
        assert html.escape(EVIL, quote=False)[:20] in client.get("/ui/history").text


class TestSessions:
    def test_the_cookie_is_for_no_script_and_no_other_site(
        self, client: TestClient, project: HelpProject
    ) -> None:
        secret = key(project, "operate")["Authorization"].split()[1]
        page = client.get("/ui/login")
        before = page.headers["set-cookie"].split(";")[0]
        fields = {"key": secret, "csrf": csrf(page), "next": "https://evil.example/"}
        answer = client.post("/ui/login", data=fields)
        assert answer.headers["location"] == "/"
        cookie = answer.headers["set-cookie"]
        assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {x.strip() for x in cookie.split(";")}
        token = cookie.split("=", 1)[1].split(";")[0]
        assert token not in before  # another one than before logging in
        assert token.encode() not in project.registry.path.read_bytes()
        assert "tester" in client.get("/").text

    def test_out_revoked_or_over(self, client: TestClient, project: HelpProject) -> None:
        secret = log_in(client, project, "operate")
        assert "Promote" in client.get("/").text
        kept = dict(client.cookies)
        assert client.post("/ui/logout", data={"csrf": secret}).status_code == 303
        client.cookies.update(kept)  # a copy of the cookie is worth nothing then
        assert "Promote" not in client.get("/").text
        log_in(client, project, "operate", name="bob")
        ApiKeys(project.registry).revoke("bob")
        assert "Promote" not in client.get("/").text
        log_in(client, project, "operate", name="eve")
        project.registry.execute("UPDATE sessions SET expires_at = '2020-01-01T00:00:00+00:00'")
        assert "Promote" not in client.get("/").text

    @pytest.mark.parametrize("wrong", ["", "rx_wrong", "x" * 2000, "\u00e4\u0000"])
    def test_a_wrong_key(self, client: TestClient, wrong: str) -> None:
        fields = {"key": wrong, "csrf": csrf(client.get("/ui/login"))}
        answer = client.post("/ui/login", data=fields)
        assert answer.status_code == 401
        assert 'role="alert"' in answer.text

    @pytest.mark.parametrize(
        "path",
        ["/ui/login", "/ui/logout", "/ui/versions/v2/compare", "/ui/versions/v2/build",
         "/ui/versions/v2/promote", "/ui/rollback", "/ui/jobs/1/cancel"],
    )  # fmt: skip
    def test_a_form_from_elsewhere_does_nothing(
        self, client: TestClient, project: HelpProject, path: str
    ) -> None:
        good = log_in(client, project, "operate")
        other = {"Sec-Fetch-Site": "cross-site"}
        for fields, headers in (({}, {}), ({"csrf": "0" * 64}, {}), ({"csrf": good}, other)):
            assert client.post(path, data=fields, headers=headers).status_code == 403
        assert client.get(path).status_code in (200, 404, 405, 409)  # and GET changes nothing
        assert client.get("/v1/jobs").json() == {"jobs": []}
        assert len(project.history()) == 1

    def test_one_that_only_reads(self, client: TestClient, project: HelpProject) -> None:
        secret = log_in(client, project, "read", "search")
        assert "Promote" not in client.get("/").text
        for path in ("/ui/versions/v2/promote", "/ui/rollback"):
            assert client.get(path).status_code == 403
            assert client.post(path, data={"csrf": secret}).status_code == 403
        assert client.post("/ui/versions/v2/compare", data={"csrf": secret}).status_code == 403

    def test_nobody_is_sent_to_the_form_and_back(
        self, client: TestClient, project: HelpProject
    ) -> None:
        answer = client.get("/ui/versions/v2/promote")
        assert answer.status_code == 303
        assert answer.headers["location"] == "/ui/login?next=/ui/versions/v2/promote"

    def test_reading_needs_a_key_where_that_is_said(
        self, client: TestClient, project: HelpProject, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = project.settings.server.model_copy(update={"open_reading": False})
        monkeypatch.setattr(client.app.state.service, "settings", server)  # type: ignore
        for path in ("/", "/ui/search?q=a", "/ui/comparisons/1", "/ui/parts/versions"):
            assert client.get(path).status_code == 303
        log_in(client, project, "read")
        assert client.get("/").status_code == 200
        assert client.get("/ui/search?q=a").status_code == 403


class TestDeciding:
    def test_what_was_shown_must_still_be_so(
        self, client: TestClient, project: HelpProject
    ) -> None:
        secret = log_in(client, project, "operate")
        shown = client.get("/ui/versions/v2/promote").text
        assert 'name="live" value="help-centre--v1"' in shown
        project.promote("v2")
        fields = {"csrf": secret, "live": "help-centre--v1"}
        answer = client.post("/ui/versions/v2/promote", data=fields)
        assert answer.status_code == 409
        assert "Nothing was changed" in answer.text
        assert client.post("/ui/rollback", data=fields).status_code == 409
        assert project.live_collection() == "help-centre--v2"
        assert "<dt>Before it</dt><dd>v1</dd>" in client.get("/").text

    def test_against_the_gate_needs_a_reason(
        self, client: TestClient, project: HelpProject
    ) -> None:
        project.registry.execute("DELETE FROM comparison_scores")
        project.registry.execute("DELETE FROM comparison_results")
        project.registry.execute("DELETE FROM comparisons")
        secret = log_in(client, project, "operate")
        assert "Promote against the gate" in client.get("/ui/versions/v2/promote").text
        fields = {"csrf": secret, "live": "help-centre--v1", "force": "yes", "reason": " "}
        answer = client.post("/ui/versions/v2/promote", data=fields)
        assert answer.status_code == 400
        assert "say why" in answer.text
        refused = client.post("/ui/versions/v2/promote", data={**fields, "force": ""})
        job = _ended(client, refused.headers["location"])
        assert (job["state"], job["error"]["code"]) == ("failed", "PromotionRefused")
        assert "does not pass the gate" in client.get(refused.headers["location"]).text
        done = client.post("/ui/versions/v2/promote", data={**fields, "reason": "seen by eye"})
        assert _ended(client, done.headers["location"])["state"] == "done"
        flip = project.history()[0]
        assert (flip.forced, flip.reason) == (True, "seen by eye")
        assert flip.who.startswith("ann over HTTP@")


def _ended(client: TestClient, page: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        job: dict[str, Any] = client.get(f"/v1/jobs/{page.rsplit('/', 1)[1]}").json()
        return job if job["ended_at"] else None

    return until(look, "the end of the job")
