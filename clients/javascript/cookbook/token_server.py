"""GET /token: who is signed in gets a token for five minutes. Python's own library, no packages."""

import base64, hashlib, hmac, json, os, time
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def token(**claims) -> str:
    now = int(time.time())
    parts = [{"alg": "HS256", "typ": "JWT"}, {"iat": now, "exp": now + 300, **claims}]
    body = ".".join(part(json.dumps(each).encode()) for each in parts)
    secret = os.environ["HERENOW_JWT_SECRET"].encode()
    return f"{body}.{part(hmac.digest(secret, body.encode(), hashlib.sha256))}"


def signed_in(headers) -> str | None:
    """Put your own session here."""
    user = SimpleCookie(headers.get("cookie")).get("user")
    return user and user.value


class Tokens(BaseHTTPRequestHandler):
    def do_GET(self):
        user = signed_in(self.headers)
        self.send_response(401 if not user else 200 if self.path == "/token" else 404)
        self.send_header("cache-control", "no-store")
        self.end_headers()
        if user and self.path == "/token":
            rights = {"room-*": ["join", "subscribe"]}
            self.wfile.write(token(sub=user, info={"name": user}, channels=rights).encode())


ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 3000))), Tokens).serve_forever()
