"""The reader over HTTP: pictures in, digits out; drawings kept; the page where one draws."""

import asyncio
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.resources import files
from typing import Annotated, Any, TypeVar
from uuid import UUID

import numpy as np
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, PackageLoader
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException as AnyHTTPException

from digits.errors import DataError
from digits.ranges import Digit
from digits.serving.drawings import Drawing, Drawings
from digits.serving.guard import LARGEST_BODY, Guard
from digits.serving.pictures import EMPTY, PictureError, is_small, read_picture
from digits.serving.reader import Answer, Likelihood, Reader, by_name

PICTURES = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif", "image/tiff")
PAGE_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Row = Annotated[list[Share], Field(min_length=28, max_length=28)]
Image28 = Annotated[list[Row], Field(min_length=28, max_length=28)]
Schema = TypeVar("Schema", bound=BaseModel)
ModelName = Annotated[str | None, Query(description="its name; the first where it is left out")]


class Pixels(BaseModel):
    """An image as the model takes it."""

    model_config = ConfigDict(strict=True, extra="forbid")
    pixels: Image28 = Field(description="28 rows of 28 numbers, ink 1 and paper 0; read as they are, not moved")


class GivenDrawing(BaseModel):
    """A drawing with the digit it is."""

    model_config = ConfigDict(strict=True, extra="forbid")
    id: Annotated[UUID, Field(strict=False, description="made by the client; the same one again is kept once")]
    pixels: Image28
    label: Digit = Field(description="the digit it is")
    model: Annotated[str, Field(max_length=200, description="which was asked")]
    answer: Digit = Field(description="what it said")


class Kept(BaseModel):
    """A drawing is kept."""

    id: UUID


class ModelFacts(BaseModel):
    """A model that answers here."""

    name: str
    classes: list[int]
    dataset: str
    test_accuracy: float = Field(description="share of the dataset's test split read right, 0 to 1")


class Models(BaseModel):
    """The models, the one that answers when none is named first."""

    models: list[ModelFacts]


class Prediction(BaseModel):
    """A model's answer to one picture."""

    digit: int
    confidence: float
    runner_up: int
    probabilities: list[Likelihood] = Field(description="of every digit the model knows, falling")
    image: list[list[float]] = Field(description="what the model saw: 28 rows of 28, ink 1 and paper 0")
    model: str
    milliseconds: float = Field(description="preparation and answer, without waiting")


class Problem(BaseModel):
    """What went wrong, in one sentence."""

    error: str


def create_app(readers: list[Reader], drawings: Drawings, hosts: list[str]) -> FastAPI:
    """The application.

    Args:
        readers: at least one; the first answers where no model is named.
        drawings: where drawings are kept.
        hosts: names the server goes by; requests to others are refused.
    """
    app = FastAPI(title="digits", description="Reads handwritten digits.", docs_url=None, redoc_url=None)
    app.add_middleware(Guard, hosts=hosts)
    named = by_name(readers)
    pool = ThreadPoolExecutor(os.cpu_count())
    page = {entry.name: entry.read_bytes() for entry in (files("digits.serving") / "page").iterdir() if entry.is_file()}

    async def in_pool(function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)

    @app.post("/api/predict", responses=_problems(404, 408, 413, 415, 422, 503), openapi_extra=_body(Pixels, *PICTURES))
    async def predict(request: Request, model: ModelName = None) -> Prediction:
        """Read the digit on a picture, or of 28x28 pixels."""
        name = next(iter(named)) if model is None else model
        if name not in named:
            raise HTTPException(404, f"no such model, wanted one of {', '.join(named)}")
        kind, body = _kind(request), await request.body()
        if kind == "application/json":
            return _predict_pixels(named[name], name, _parsed(Pixels, body))
        if kind in PICTURES and is_small(body):
            return _predict_picture(named[name], name, body)
        if kind in PICTURES:
            return await in_pool(_predict_picture, named[name], name, body)
        raise HTTPException(415, f"Content-Type: wanted application/json or one of {', '.join(PICTURES)}")

    @app.get("/api/models")
    async def models() -> Models:
        """Which models answer here."""
        facts = [
            ModelFacts(name=name, classes=reader.classes, dataset=reader.dataset, test_accuracy=reader.test_accuracy)
            for name, reader in named.items()
        ]
        return Models(models=facts)

    @app.post(
        "/api/drawings",
        status_code=201,
        responses=_problems(408, 413, 415, 422, 503) | {200: {"model": Kept, "description": "It was kept before"}},
        openapi_extra=_body(GivenDrawing),
    )
    async def keep(request: Request, response: Response) -> Kept:
        """Keep a drawing with its right digit, to train on. Once this is answered it survives a crash."""
        if _kind(request) != "application/json":
            raise HTTPException(415, "Content-Type: wanted application/json")
        given = _parsed(GivenDrawing, await request.body())
        image = np.rint(255 * np.array(given.pixels)).astype(np.uint8).tobytes()
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        if given.model not in named:
            raise HTTPException(422, f"model: wanted one of {', '.join(named)}")
        if not any(image):
            raise HTTPException(422, f"pixels: {EMPTY}")
        drawing = Drawing(str(given.id), image, given.label, given.model, given.answer, now)
        if not await in_pool(drawings.keep, drawing):
            response.status_code = 200
        return Kept(id=given.id)

    @app.delete("/api/drawings/{id}", status_code=204, responses=_problems(404, 422, 503))
    async def forget(id: UUID) -> None:
        """Forget a drawing for good."""
        if not await in_pool(drawings.forget, str(id)):
            raise HTTPException(404, "no drawing of this id")

    @app.get("/healthz")
    async def health() -> dict[str, str]:
        """Whether the server is up."""
        return {"status": "ok"}

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        environment = Environment(loader=PackageLoader("digits.serving", "."), autoescape=True, trim_blocks=True)
        return HTMLResponse(environment.get_template("docs.html.j2").render(schema=app.openapi()))

    @app.get("/", include_in_schema=False)
    @app.get("/{name}", include_in_schema=False)
    async def page_file(name: str = "index.html") -> Response:
        if name not in page:
            raise HTTPException(404, "no such page")
        return Response(page[name], media_type=PAGE_TYPES["." + name.rpartition(".")[2]])

    @app.exception_handler(AnyHTTPException)
    async def refused(request: Request, error: AnyHTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def wrong(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"error": _sentence(error.errors())}, 422)

    @app.exception_handler(PictureError)
    async def unreadable(request: Request, error: PictureError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 422)

    @app.exception_handler(DataError)
    async def not_kept(request: Request, error: DataError) -> JSONResponse:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return JSONResponse({"error": "the drawing could not be kept"}, 503)

    return app


def _predict_picture(reader: Reader, name: str, content: bytes) -> Prediction:
    started = time.perf_counter()
    return _prediction(reader, name, read_picture(content), started)


def _predict_pixels(reader: Reader, name: str, given: Pixels) -> Prediction:
    started = time.perf_counter()
    image = np.array([given.pixels], np.float32)
    if not image.any():
        raise PictureError(EMPTY)
    return _prediction(reader, name, image, started)


def _prediction(reader: Reader, name: str, image: np.ndarray, started: float) -> Prediction:
    answer: Answer = reader.answers(image[None])[0]
    return Prediction(
        **vars(answer),
        image=image[0].astype(float).round(4).tolist(),
        model=name,
        milliseconds=round(1000 * (time.perf_counter() - started), 3),
    )


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _parsed(schema: type[Schema], body: bytes) -> Schema:
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        raise HTTPException(422, _sentence(error.errors(include_url=False, include_input=False))) from error


def _sentence(mistakes: Any) -> str:
    """The first of pydantic's mistakes: where and what; not what was got, which may be anything."""
    first = mistakes[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {first['msg']}" if place else str(first["msg"])


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem} for status in statuses}


def _body(schema: type[BaseModel], *pictures: str) -> dict[str, Any]:
    """The request's body in the API's schema; it is read by hand, as its type depends on a header."""
    content: dict[str, Any] = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in pictures}
    content["application/json"] = {"schema": schema.model_json_schema()}
    return {"requestBody": {"required": True, "content": content, "description": f"At most {LARGEST_BODY:,} bytes."}}
