"""What the Hugging Face Hub answers to a push and a pull of small files, as far as tests need it.

Written after what huggingface_hub sends; commits are whole trees, kept in memory. No LFS.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

Tree = dict[str, bytes]


class Hub(ThreadingHTTPServer):
    """Repositories by name: branches, and the commits that they name."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[str, dict[str, str]] = {}
        self.commits: dict[str, Tree] = {}
        self.tokens: set[str] = set()

    def tree(self, repo: str, revision: str) -> tuple[str, Tree] | None:
        sha = self.repos.get(repo, {}).get(revision, revision)
        return (sha, self.commits[sha]) if repo in self.repos and sha in self.commits else None

    def keep(self, repo: str, branch: str, tree: Tree) -> str:
        told = repr((repo, branch, len(self.commits), sorted(tree)))
        sha = hashlib.sha1(told.encode()).hexdigest()
        self.commits[sha], self.repos[repo][branch] = tree, sha
        return sha


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def _reply(self) -> None:
        self.server.tokens.add(self.headers.get("Authorization", ""))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts[:2] == ["api", "repos"]:
            given = json.loads(body)
            name = "/".join(filter(None, (given.get("organization"), given["name"])))
            if name not in self.server.repos:
                self.server.repos[name] = {}
                self.server.keep(name, "main", {})
            return self._json({"url": f"http://{self.headers['Host']}/{name}"})
        if parts[:2] == ["api", "validate-yaml"]:  # of the card
            return self._json({"errors": [], "warnings": []})
        if parts[:2] == ["api", "models"]:
            return self._api("/".join(parts[2:4]), parts[4:], body)
        found = self.server.tree("/".join(parts[:2]), parts[3])
        name = "/".join(parts[4:])
        if found is None or name not in found[1]:
            return self._absent("EntryNotFound" if found else "RepoNotFound")
        return self._content(found[0], found[1][name])

    def _api(self, repo: str, rest: list[str], body: bytes) -> None:  # noqa: PLR0911
        verb, revision = (rest[0], "/".join(rest[1:])) if rest else ("revision", "main")
        if verb == "branch":
            branches = self.server.repos[repo]
            branches.setdefault(revision, branches["main"])
            return self._json({})
        if verb == "preupload":
            files = [{"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                     for file in json.loads(body)["files"]]  # fmt: skip
            return self._json({"files": files})
        found = self.server.tree(repo, revision)
        if found is None:
            return self._absent("RevisionNotFound" if repo in self.server.repos else "RepoNotFound")
        if verb == "commit":
            return self._commit(repo, revision, dict(found[1]), body)
        entries = [{"type": "file", "path": name, "size": len(content), "oid": "0"}
                   for name, content in found[1].items()]  # fmt: skip
        if verb == "tree":
            return self._json(entries)
        if verb == "paths-info":
            wanted = json.loads(body)["paths"]
            return self._json([entry for entry in entries if entry["path"] in wanted])
        return self._json({"id": repo, "sha": found[0], "private": True, "tags": [],
                           "downloads": 0, "siblings": []})  # fmt: skip

    def _commit(self, repo: str, branch: str, tree: Tree, body: bytes) -> None:
        for line in body.splitlines():
            change = json.loads(line)
            if change["key"] == "file":
                tree[change["value"]["path"]] = base64.b64decode(change["value"]["content"])
            elif change["key"] == "deletedFile":
                tree.pop(change["value"]["path"])
        sha = self.server.keep(repo, branch, tree)
        self._json({"commitUrl": f"https://huggingface.co/{repo}/commit/{sha}", "commitOid": sha})

    def _content(self, sha: str, content: bytes) -> None:
        asked = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        start = int(asked[0] or 0)
        part = content[start : int(asked[2]) + 1 if asked[2] else None]
        span = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
        etag = f'"{hashlib.sha1(content).hexdigest()}"'
        headers = {"X-Repo-Commit": sha, "ETag": etag, "Content-Range": span}
        self._send(206 if self.headers.get("Range") else 200, part, headers)

    def _json(self, content: Any) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _absent(self, code: str) -> None:
        self._send(404, b"{}", {"X-Error-Code": code})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = _reply

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on stderr."""


@contextmanager
def hub() -> Iterator[tuple[str, Hub]]:
    """Such a server in a thread; gives its address and itself."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
