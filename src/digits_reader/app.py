"""The web application: the API, the page to draw on, the API's documentation."""

import sys

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, PackageLoader
from starlette.exceptions import HTTPException

from digits_reader.api import drawing_routes, read_routes
from digits_reader.decode import PictureError
from digits_reader.drawings import Drawings
from digits_reader.guard import TOO_LARGE, Guard
from digits_reader.pictures import SeveralDigitsError
from digits_reader.reader import Reader, by_name
from plain_errors import DataError


def create_app(
    readers: list[Reader], drawings: Drawings, hosts: list[str], proxies: list[str], origins: list[str]
) -> FastAPI:
    """Build the application.

    Args:
        readers: at least one; the first is the default.
        drawings: where drawings are saved.
        hosts: the server's names; requests to other names are refused.
        proxies: more names, under which a reverse proxy may show the page.
        origins: other sites, as https://example.org, whose pages may have pictures read.
    """
    app = FastAPI(
        title="digits",
        description="Reads handwritten digits.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # such a redirect names this server's address, not the reverse proxy's
    )
    app.add_middleware(Guard, hosts=hosts, proxies=proxies, origins=origins)
    for kind in (HTTPException, RequestValidationError, DataError):
        app.add_exception_handler(kind, _error)
    named = by_name(readers)
    app.include_router(read_routes(named))
    app.include_router(drawing_routes(drawings, list(named)))
    page = StaticFiles(packages=[("digits_reader", "page")])
    templates = Environment(loader=PackageLoader("digits_reader", "."), autoescape=True, trim_blocks=True)

    @app.get("/healthz")
    def health() -> dict[str, str]:
        """Tell whether the server is up, and what does not work although it is."""
        problems = [
            f"{name}: its file has changed; the model as it was goes on"
            for name, reader in named.items()
            if not reader.has_its_file()
        ]
        try:
            drawings.check_writable()
        except DataError as error:
            problems.append(f"drawings cannot be saved: {getattr(error.__cause__, 'strerror', None)}")
        return {"status": "; ".join(problems) or "ok"}

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(templates.get_template("docs.html.j2").render(schema=app.openapi()))

    @app.get("/docs/", include_in_schema=False)
    async def docs_with_slash() -> RedirectResponse:
        return RedirectResponse("../docs")

    # Not mounted at /: there StaticFiles would answer GET /api/predict with 404, where 405 is right.
    @app.get("/", include_in_schema=False)
    @app.get("/{name}", include_in_schema=False)
    async def page_file(request: Request, name: str = "index.html") -> Response:
        return await page.get_response(name, request.scope)

    return app


async def _error(request: Request, error: Exception) -> JSONResponse:
    """Answer every error with {"error": sentence}; one about a picture has a code too, on which programs may act."""
    if isinstance(error, HTTPException):
        text = TOO_LARGE if error.status_code == 413 else error.detail  # Starlette's 413 does not give the limit
        return JSONResponse({"error": text}, error.status_code, error.headers)
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]  # its value is left out: it may be long or hostile
        place = ".".join(str(part) for part in first["loc"])
        return JSONResponse({"error": f"{place}: {first['msg']}" if place else first["msg"]}, 422)
    if isinstance(error, PictureError):
        status = 409 if isinstance(error, SeveralDigitsError) else 422
        return JSONResponse({"error": str(error), "code": error.code}, status)
    print(f"error: {error}", file=sys.stderr, flush=True)
    return JSONResponse({"error": "the drawing was not saved or deleted; the server's terminal shows why"}, 503)
