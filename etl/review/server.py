"""The page over HTTP, for the person who started it only: this machine's own address, and a token in the page's address.

Others may use the same login node. They can reach the port, but do not know the token; and a page of theirs in this person's
browser can neither read answers (another origin) nor reach us under a name of its own (the Host header).
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from etl.review.session import Session
from schemas.errors import RadforgeError

HOST = "127.0.0.1"
_NAMES = {"127.0.0.1", "localhost"}
_PAGE = {"": ("page.html", "text/html"), "page.css": ("page.css", "text/css"), "page.js": ("page.js", "text/javascript")}
_MAX_BODY = 4096
_SIZE = re.compile("[0-9]{1,9}")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class ReviewServer(ThreadingHTTPServer):
    """Listens from the start; `serve_forever` answers."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, session: Session, port: int = 0) -> None:
        """Raises RadforgeError when the port is taken."""
        self.session = session
        self.token = secrets.token_urlsafe(18)
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise RadforgeError(
                "the port cannot be used", f"--port {port}", error.strerror or "", "another one, or none: a free one is found"
            ) from None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_address[1]}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of an answer is no news; anything else keeps its traceback."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "radforge", ""
    timeout = 60
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """A file of the page, the pictures' list, or one of them."""
        path = self._path()
        if path is None:
            return
        session = self.server.session
        name, _, image_id = path.partition("/")
        if path in _PAGE:
            file, kind = _PAGE[path]
            self._answer((resources.files("etl.review") / file).read_bytes(), f"{kind}; charset=utf-8")
        elif path == "pictures":
            query = dict(parse_qsl(urlsplit(self.path).query))
            self._try(lambda: session.pictures(query))
        elif name in {"before", "after"}:
            self._try(lambda: (session.before if name == "before" else session.after)(image_id))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_POST(self) -> None:
        """A decision, or the last one taken back."""
        path = self._path()
        if path is None:
            return
        length = self.headers.get("Content-Length", "")
        if self.headers.get_content_type() != "application/json" or not _SIZE.fullmatch(length) or int(length) > _MAX_BODY:
            self._refuse(HTTPStatus.BAD_REQUEST, "a small JSON object is expected")
            return
        try:
            wish = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            wish = None
        if not isinstance(wish, dict) or path not in {"decide", "undo"}:
            self._refuse(HTTPStatus.BAD_REQUEST, "not understood")
            return
        session = self.server.session
        self._try(session.undo if path == "undo" else lambda: session.decide(wish))

    def _path(self) -> str | None:
        """The path below the token; None when the request was refused."""
        host = (self.headers.get("Host") or "").rpartition(":")
        origin = self.headers.get("Origin")
        token, slash, path = (_part(self.path, "path") or "").removeprefix("/").partition("/")
        known = hmac.compare_digest(token.encode("utf-8", "replace"), self.server.token.encode())
        if (host[0] or host[2]) not in _NAMES or (origin and _part(origin, "hostname") not in _NAMES) or not known or not slash:
            self._refuse(HTTPStatus.FORBIDDEN, "open the address that `etl review` printed")
            return None
        return path

    def _try(self, make: Callable[[], Mapping[str, Any] | bytes]) -> None:
        try:
            made = make()
        except RadforgeError as error:
            self._refuse(HTTPStatus.CONFLICT, str(error))
            return
        if isinstance(made, bytes):
            self._answer(made, "image/png")
        else:
            self._answer(json.dumps(made).encode(), "application/json")

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self.close_connection = True  # what was sent with the request has not been read
        self._answer(why.encode(), "text/plain; charset=utf-8", status)

    def _answer(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the address holds the token."""


def _part(address: str, name: str) -> str | None:
    """A part of an address; None where there is none, or it is no address."""
    try:
        part = getattr(urlsplit(address), name)
    except ValueError:
        return None
    return str(part) if part else None
