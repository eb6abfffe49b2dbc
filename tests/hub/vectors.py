"""A small server with the layout of gensim-data: a list of models with checksums, and their files."""

from __future__ import annotations

import gzip
import hashlib
import json

from tests.fixtures import glove_text
from tests.hub.server import Answer, Handler, Server

NAME = "glove-wiki-gigaword-300"


class Vectors(Server):
    """gensim's releases; `files` are its paths."""

    def __init__(self) -> None:
        super().__init__(VectorsHandler)
        data = gzip.compress(f"20 8\n{glove_text()}".encode())
        self.checksum = hashlib.md5(data).hexdigest()
        models = {NAME: {"checksum": self.checksum, "file_name": f"{NAME}.gz", "parts": 1}}
        self.files = {
            "/list.json": json.dumps({"models": models, "corpora": {}}).encode(),
            f"/{NAME}/{NAME}.gz": data,
            f"/{NAME}/__init__.py": b"raise SystemExit('ran downloaded code')",
        }


class VectorsHandler(Handler):
    """Files alone."""

    server: Vectors

    def answer(self) -> Answer:
        """A file, or 404."""
        content = self.server.files.get(self.path)
        if content is None:
            return Answer(404)
        return Answer(200, content, {})
