"""What no request may do, whatever it asks for: come from elsewhere, be too large, too slow or one too many."""

import asyncio
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 5_000_000  # bytes
SLOWEST_BODY = 10.0  # seconds
MOST_AT_ONCE = 128  # requests; more would only wait
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware about an application.

    Args:
        app: the application.
        hosts: the names it may be called by. An address is always right: another site's page can bring a browser
            here under a name of its own, but not under a bare address.
    """

    def __init__(self, app: ASGIApp, hosts: list[str]) -> None:
        self.app, self.hosts = app, hosts
        self.at_once = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or refuse it with one sentence as JSON."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refused = self._refused(Headers(scope=scope))
        if refused:
            return await refused(scope, receive, send_with_headers)
        self.at_once += 1
        try:
            await self.app(scope, _within_limits(receive), send_with_headers)
        except ClientDisconnect:  # nobody left to answer
            pass
        finally:
            self.at_once -= 1

    def _goes_by(self, name: str | None) -> bool:
        try:
            return name in self.hosts or bool(ip_address(name or ""))
        except ValueError:
            return False

    def _refused(self, headers: Headers) -> JSONResponse | None:
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._goes_by(_name(f"//{host}")):
            return _error(421, "this server does not go by that name; start it with --allow-host NAME if it should")
        if origin is not None and origin.partition("//")[2] != host:
            return _error(403, "the request comes from another site's page")
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length[:18]) > LARGEST_BODY:
            return _error(413, f"the body is too large, wanted at most {LARGEST_BODY:,} bytes")
        if self.at_once >= MOST_AT_ONCE:
            return _error(503, "too many requests at once, try again in a second", {"Retry-After": "1"})
        return None


def _within_limits(receive: Receive) -> Receive:
    """The body's parts as they come, until they are too many or too late."""
    deadline, size = asyncio.get_running_loop().time() + SLOWEST_BODY, 0
    whole = False

    async def receive_within_limits() -> Message:
        nonlocal size, whole
        if whole:  # what follows is only whether the client is still there
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError as error:
            raise HTTPException(408, f"the body took longer than {SLOWEST_BODY:g} seconds") from error
        size += len(message.get("body", b""))
        if size > LARGEST_BODY:
            raise HTTPException(413, f"the body is too large, wanted at most {LARGEST_BODY:,} bytes")
        whole = not message.get("more_body", False)
        return message

    return receive_within_limits


def _name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _error(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, headers)
