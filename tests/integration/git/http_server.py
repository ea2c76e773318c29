"""Serves repositories over smart HTTP through `git http-backend`, with basic authentication."""

import base64
import os
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class GitServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, root, user_and_password=None, redirect_to=None, stall=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.root = root
        self.expected = user_and_password
        self.redirect_to = redirect_to
        self.stall = stall
        self.authorizations = []
        self.requests = 0
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self):
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        self._serve(b"")

    def do_POST(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._serve(body)

    def _serve(self, body):
        server = self.server
        server.requests += 1
        authorization = self.headers.get("Authorization")
        server.authorizations.append(authorization)
        if server.redirect_to:
            return self._answer(301, [("Location", server.redirect_to + self.path)], b"")
        if server.expected:
            wanted = "Basic " + base64.b64encode(server.expected.encode()).decode()
            if authorization != wanted:
                return self._answer(401, [("WWW-Authenticate", 'Basic realm="git"')], b"")
        url = urlsplit(self.path)
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "REMOTE_ADDR": "127.0.0.1",
        }
        if self.headers.get("Content-Encoding") == "gzip":
            env["HTTP_CONTENT_ENCODING"] = "gzip"
        done = subprocess.run(["git", "http-backend"], env=env, input=body, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n")]
        status = next((int(value.split()[0]) for key, value in headers if key == "Status"), 200)
        return self._answer(status, [pair for pair in headers if pair[0] != "Status"], content)

    def _answer(self, status, headers, content):
        self.send_response(status)
        for key, value in headers:
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        stall = self.server.stall
        if stall and self.command == "POST":
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            stall.wait(30)
            content = content[len(content) // 2 :]
        self.wfile.write(content)
