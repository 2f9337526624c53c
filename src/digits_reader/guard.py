"""Refuse requests that come from elsewhere, are too large, too slow or too many."""

import asyncio
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import HTTPException
from pydantic import AnyHttpUrl
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plain_errors import ConfigError

MAX_BODY = 5_000_000  # bytes
MAX_BODY_SECONDS = 10.0
MAX_REQUESTS = 128  # at once; more would only wait
TOO_LARGE = f"the body is too large, wanted at most {MAX_BODY:,} bytes"
ALLOW = "; start the server with --allow-host NAME to allow it"
PROXY = "if that site is a reverse proxy of this server, start the server with --allow-host NAME"
# What other sites' pages may use, if they are allowed. They may not save or delete drawings.
SHARED = {"/api/models", "/api/number", "/api/pixels", "/api/predict"}
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": f"{PAGE_POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def check_origin(origin: str) -> None:
    """Check that an origin is written as browsers send it, or no page would ever have it.

    Raises:
        ConfigError: it is not.
    """
    try:
        url = urlsplit(str(AnyHttpUrl(origin)))
        wanted = f"{url.scheme}://{url.netloc.rpartition('@')[2]}"
    except ValueError:
        wanted = "a site such as https://example.org"
    if origin != wanted:
        raise ConfigError(f"--allow-origin: got {origin}, wanted {wanted}")


class Guard:
    """ASGI middleware: it checks requests before the application and adds security headers to every answer.

    Args:
        app: the application.
        hosts: names that requests may use for this server. IP addresses are always allowed: a hostile page can make
            its own name point here (DNS rebinding), but not an address.
        proxies: names whose pages may send requests although Host is another: a reverse proxy may have changed it.
        origins: other sites, as https://example.org, whose pages may use the paths in SHARED.
    """

    def __init__(self, app: ASGIApp, hosts: list[str], proxies: list[str], origins: list[str]) -> None:
        # Without a Content-Length only counting the bytes tells the size. Starlette does that and raises a 413.
        self.app = RequestBodyLimitMiddleware(app, MAX_BODY)
        # Round the refusals too: a page can only read an answer that allows its origin.
        self.cors = CORSMiddleware(self._answer, origins, ("GET", "POST"), allow_private_network=True)
        self.hosts, self.proxies = ({name.lower() for name in names} for names in (hosts + proxies, proxies))
        self.running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with {"error": sentence}."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if scope["method"] == "HEAD":  # FastAPI refuses it; uvicorn leaves out the body of what answers GET
            scope = {**scope, "method": "GET"}
        await (self.cors if self._is_shared(scope) else self._answer)(scope, receive, send_with_headers)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_in_time() -> Message:
            try:
                async with asyncio.timeout_at(end):
                    return await receive()
            except TimeoutError as error:
                raise HTTPException(408, f"the body took longer than {MAX_BODY_SECONDS:g} seconds") from error

        end = asyncio.get_running_loop().time() + MAX_BODY_SECONDS
        if refusal := self._refusal(scope):
            return await refusal(scope, receive, send)
        self.running += 1
        try:
            await self.app(scope, receive_in_time, send)
        except ClientDisconnect:  # nobody is left to answer
            pass
        finally:
            self.running -= 1

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        """The answer to a request that must not reach the application.

        Starlette's TrustedHostMiddleware cannot allow every IP address. Like its body limit for a declared length and
        uvicorn's limit_concurrency, it answers in plain text, so these checks are made here.
        """
        headers = Headers(scope=scope)
        host, origin, length = headers.get("host", ""), headers.get("origin"), headers.get("content-length", "")
        if not self._is_known(host):
            return _error(421, f"this server does not serve that host name{ALLOW}")
        if origin is not None and not self._is_own(origin, host) and not self._is_shared(scope):
            rule = "needs the option --allow-origin ORIGIN" if scope["path"] in SHARED else "may not do this"
            return _error(403, f"the request comes from another site's page, which {rule}; {PROXY}")
        if length.isdecimal() and int(length[:18]) > MAX_BODY:  # int() fails on thousands of digits
            return _error(413, TOO_LARGE)
        if self.running >= MAX_REQUESTS:
            return _error(503, "too many requests at once, try again in a second", {"Retry-After": "1"})
        return None

    def _is_own(self, origin: str, host: str) -> bool:
        """Whether a page's origin, as https://name:port, is this server's own; `host` is known."""
        try:
            page, own = urlsplit(origin), urlsplit(f"//{host}")
            default = {"http": 80, "https": 443}[page.scheme]
            is_same = (page.hostname, page.port or default) == (own.hostname, own.port or default)
            return is_same or page.hostname in self.proxies
        except (ValueError, KeyError):  # "null", for instance
            return False

    def _is_shared(self, scope: Scope) -> bool:
        """Whether the request comes from another site's page that is allowed and asks for what it may use."""
        return scope["path"] in SHARED and self.cors.is_allowed_origin(Headers(scope=scope).get("origin", ""))

    def _is_known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self.hosts or bool(ip_address(name))
        except ValueError:  # neither a host nor an address
            return False


def _error(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, headers)
