"""A small server that speaks the model hub's API: what `huggingface_hub` and `datasets` ask for, and no more.

Uploads are commits of whole files, as the hub has it for small ones.

Large files are answered as the hub does: by a redirect to another host, with hash and size of the file in its headers.
`cut` makes the connection break in the middle of a file, again and again, until it is emptied.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE = (".safetensors", ".bin", ".parquet")
API = re.compile(r"/api/(models|datasets)/(.+?)(?:/(revision|tree|paths-info)/([^/]+)(?:/(.*))?)?\Z")
UPLOAD = re.compile(r"/api/models/(.+?)/(preupload|commit)/main\Z")
RESOLVE = re.compile(r"/(datasets/)?(.+?)/resolve/([^/]+)/(.+)\Z")


@dataclass(frozen=True)
class Repository:
    """A repository of the hub.

    Args:
        kind: models or datasets.
        name: its name now.
        revisions: branch or tag -> path -> content.
        old_name: a name it is redirected from.
    """

    kind: str
    name: str
    revisions: dict[str, dict[str, bytes]]
    old_name: str | None = None

    def commit(self, revision: str) -> str | None:
        """The commit of a branch, tag or commit; None for one that is not there."""
        commits = {name: commit_of(files) for name, files in self.revisions.items()}
        return commits.get(revision, revision if revision in commits.values() else None)

    def files(self, commit: str) -> dict[str, bytes]:
        """The files of a commit."""
        return next(files for files in self.revisions.values() if commit_of(files) == commit)


def commit_of(files: dict[str, bytes]) -> str:
    """A commit's name: 40 hexadecimal digits that depend on the contents."""
    return hashlib.sha1(b"".join(name.encode() + content for name, content in sorted(files.items()))).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves on a free port of this machine; `asked` is what was asked for."""

    daemon_threads = True

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.asked: list[str] = []
        self.ranges: list[str] = []  # path and first byte of parts that were sent
        self.cut: dict[str, int] = {}  # end of a file's path -> bytes after which the connection breaks

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class Hub(Server):
    """The hub."""

    def __init__(self, repositories: list[Repository]) -> None:
        super().__init__(HubHandler)
        self.repositories = repositories
        self.token: str | None = None  # asked for, if there is one
        self.forged: set[str] = set()  # names of files of which one byte is sent wrongly
        self.private: dict[str, bool | None] = {}  # of repositories that were made here
        self.full = False  # whether uploads are refused


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Serves in the background."""
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Answer:
    """An answer; `headers` beside Content-Length."""

    status: int
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Handler(BaseHTTPRequestHandler):
    """Sends answers whole, in part, or cut off."""

    protocol_version = "HTTP/1.1"
    server: Server

    def answer(self) -> Answer:
        """What there is at `self.path`."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """Sends the content; a part of it if that is asked for."""
        self._send(self.answer(), body=True)

    def do_HEAD(self) -> None:
        """Sends the headers alone."""
        self._send(self.answer(), body=False)

    def _send(self, answer: Answer, body: bool) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        start, status, headers = 0, answer.status, dict(answer.headers)
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if wanted and status == 200 and self.headers.get("If-Range") in (None, headers.get("ETag")):
            self.server.ranges.append(f"{self.path} {wanted[1]}")
            start, status = int(wanted[1]), 206
            headers["Content-Range"] = f"bytes {start}-{len(answer.content) - 1}/{len(answer.content)}"
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(answer.content) - start)}.items():
            self.send_header(name, value)
        self.end_headers()
        if not body:
            return
        stop = next((at for end, at in self.server.cut.items() if self.path.endswith(end)), None)
        self.wfile.write(answer.content[start:stop] if stop is None or stop > start else b"")
        self.close_connection = self.close_connection or stop is not None

    def log_message(self, *_: object) -> None:
        """Keeps the tests' output clean."""


class HubHandler(Handler):
    """Repository information, file lists, files."""

    server: Hub

    def do_POST(self) -> None:
        """`paths-info`: what is known of some paths; and what makes a repository and uploads into it."""
        sent, path = self._read(), unquote(urlsplit(self.path).path)
        if path == "/api/repos/create":
            self._send(self._created(json.loads(sent)), body=True)
        elif path == "/api/validate-yaml":  # the head of a card
            self._send(_json({"errors": [], "warnings": []}), body=True)
        elif found := UPLOAD.match(path):
            self._send(self._preupload(sent) if found[2] == "preupload" else self._commit(found[1], sent), body=True)
        else:
            self.asked_paths = json.loads(sent or b"{}").get("paths", [])
            self._send(self.answer(), body=True)

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _created(self, asked: dict[str, Any]) -> Answer:
        if not self.server.token or self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return Answer(401)
        name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
        self.server.repositories.append(Repository("models", name, {"main": {}}))
        self.server.private[name] = asked.get("private") or asked.get("visibility") == "private"
        return _json({"url": f"{self.server.url}/{name}", "name": name})

    def _preupload(self, sent: bytes) -> Answer:
        files = [{"path": one["path"], "uploadMode": "regular"} for one in json.loads(sent)["files"]]
        return _json({"files": [{**one, "shouldIgnore": False, "oid": None} for one in files]})

    def _commit(self, name: str, sent: bytes) -> Answer:
        if self.server.full:
            return Answer(403, b"storage limit reached", {"X-Error-Message": "storage limit reached"})
        [repository] = [one for one in self.server.repositories if one.name == name]
        for line in filter(None, sent.split(b"\n")):
            one = json.loads(line)
            if one["key"] == "file":
                repository.revisions["main"][one["value"]["path"]] = base64.b64decode(one["value"]["content"])
        commit = commit_of(repository.revisions["main"])
        return _json({"commitUrl": f"{self.server.url}/{name}/commit/{commit}", "commitOid": commit, "success": True})

    def answer(self) -> Answer:
        """What the hub says; a token that it wants and does not get is an error, as for gated repositories."""
        path = unquote(urlsplit(self.path).path)
        if path.startswith("/cdn/"):
            return self._stored(path.split("/")[2])
        found = API.match(path)
        if found:
            kind, name, what, revision, below = found.groups()
        elif found := RESOLVE.match(path):
            kind, name, what, revision, below = found[1] or "models/", found[2], "resolve", found[3], found[4]
        else:
            return Answer(404)
        return self._of_repository(kind.rstrip("/"), name, what, revision or "main", below)

    def _of_repository(self, kind: str, name: str, what: str | None, revision: str, below: str | None) -> Answer:
        if self.server.token and self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return Answer(401, headers={"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."})
        for repository in self.server.repositories:
            if (repository.kind, repository.old_name) == (kind, name):
                return Answer(307, headers={"Location": self.path.replace(name, repository.name, 1)})
            if (repository.kind, repository.name) == (kind, name):
                break
        else:  # the hub tells nobody who is not logged in whether a repository is missing or private
            headers = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
            return Answer(404 if self.headers.get("Authorization") else 401, headers=headers)
        commit = repository.commit(revision)
        if commit is None:
            headers = {"X-Error-Code": "RevisionNotFound", "X-Error-Message": f"Invalid rev id: {revision}"}
            return Answer(404, headers=headers)
        files = repository.files(commit)
        if what == "resolve":
            return _file(files, below or "", commit, self.server.server_port)
        if what == "tree":
            return _json(_listed(files, below or ""))
        if what == "paths-info":
            return _json([entry for entry in _listed(files, "") if entry["path"] in self.asked_paths])
        siblings = [{"rfilename": path} for path in sorted(files)]
        return _json({"id": name, "sha": commit, "private": False, "tags": [], "downloads": 0, "siblings": siblings})

    def _stored(self, sha256: str) -> Answer:
        for repository in self.server.repositories:
            for files in repository.revisions.values():
                for content in files.values():
                    if hashlib.sha256(content).hexdigest() == sha256:
                        if self.path.rsplit("/", 1)[1] in self.server.forged:
                            content = content[:-1] + bytes([content[-1] ^ 1])
                        return Answer(200, content, {"Accept-Ranges": "bytes", "ETag": f'"{sha256}"'})
        return Answer(404)


def _json(content: object) -> Answer:
    return Answer(200, json.dumps(content).encode(), {"Content-Type": "application/json"})


def _file(files: dict[str, bytes], path: str, commit: str, port: int) -> Answer:
    content = files.get(path)
    if content is None:
        return Answer(404, headers={"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
    if not path.endswith(LARGE):
        return Answer(200, content, {"X-Repo-Commit": commit, "ETag": f'"{_blob_id(content)}"'})
    sha256 = hashlib.sha256(content).hexdigest()
    headers = {"X-Repo-Commit": commit, "X-Linked-Etag": f'"{sha256}"', "X-Linked-Size": str(len(content))}
    return Answer(302, headers={**headers, "Location": f"http://localhost:{port}/cdn/{sha256}/{path}"})


def _listed(files: dict[str, bytes], below: str) -> list[dict[str, object]]:
    """Files and folders, as `tree` lists them."""
    entries: list[dict[str, object]] = []
    for path, content in sorted(files.items()):
        if below and not path.startswith(f"{below}/"):
            continue
        entry: dict[str, object] = {"type": "file", "path": path, "size": len(content), "oid": _blob_id(content)}
        if path.endswith(LARGE):
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        entries.append(entry)
    folders = {path.rsplit("/", 1)[0] for path in files if "/" in path}
    return entries + [{"type": "directory", "path": folder, "oid": "0" * 40, "size": 0} for folder in sorted(folders)]


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
