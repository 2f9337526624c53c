"""The routes under /api: read a picture, list the models, save and delete drawings."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, TypeVar
from uuid import UUID

import numpy as np
from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from digits_reader.decode import FORMATS, PictureError, is_small
from digits_reader.drawings import Drawing, Drawings
from digits_reader.guard import MAX_BODY
from digits_reader.numbers import read_lines
from digits_reader.pictures import NO_INK, read_picture
from digits_reader.reader import Reader
from digits_reader.schemas import Image, LabelledDrawing, ModelFacts, Models, Number, Prediction, Problem, SavedDrawing

PICTURE_TYPES = ["image/png", "image/jpeg", "image/webp", "image/bmp", "image/gif", "image/tiff"]
HEIC_TYPES = ["image/heic", "image/heif"]
if "HEIF" in FORMATS:
    PICTURE_TYPES += HEIC_TYPES
MAX_BODY_SECONDS = 10.0

Content = TypeVar("Content")
Result = TypeVar("Result")
Schema = TypeVar("Schema", bound=BaseModel)
ModelName = Annotated[str | None, Query(description="the model's name; the first model by default")]


def read_routes(readers: dict[str, Reader]) -> APIRouter:
    """Routes that read pictures with the named readers, the default first."""
    router = APIRouter()
    pool = ThreadPoolExecutor(os.cpu_count())  # large pictures take memory: no more at once than there are cores

    def named(model: str | None) -> str:
        if model is not None and model not in readers:
            raise HTTPException(404, f"no such model, wanted one of {', '.join(readers)}")
        return next(iter(readers)) if model is None else model

    problems = _problems(404, 408, 413, 415, 422, 503)

    @router.post("/api/predict", responses=problems | _problems(409), openapi_extra=_takes(Image, True))
    async def predict(request: Request, model: ModelName = None) -> Prediction:
        """Read the digit on a picture or in 28x28 pixels."""
        name = named(model)
        kind, body = _content_type(request), await _body(request)
        if kind == "application/json":
            return _predict(name, readers[name], _image, _parse(Image, body))
        _check_picture_type(kind, "application/json or one of ")
        return await _done(pool, partial(_predict, name, readers[name], read_picture), body)

    @router.post("/api/number", responses=problems, openapi_extra=_takes(None, True))
    async def number(request: Request, model: ModelName = None) -> Number:
        """Read the digits on a picture from left to right, line by line."""
        name = named(model)
        kind, body = _content_type(request), await _body(request)
        _check_picture_type(kind, "one of ")
        return Number(lines=await _done(pool, partial(read_lines, readers[name]), body), model=name)

    @router.get("/api/models")
    async def models() -> Models:
        """List the models."""
        facts = [
            ModelFacts(name=name, classes=reader.classes, dataset=reader.dataset, test_accuracy=reader.test_accuracy)
            for name, reader in readers.items()
        ]
        return Models(models=facts)

    return router


def drawing_routes(drawings: Drawings, models: list[str]) -> APIRouter:
    """Routes that save and delete drawings; `models` are the model names that a drawing may have."""
    router = APIRouter(prefix="/api/drawings")

    @router.post(
        "",
        status_code=201,
        responses=_problems(408, 413, 415, 422, 503) | {200: {"model": SavedDrawing, "description": "Saved before"}},
        openapi_extra=_takes(LabelledDrawing),
    )
    async def save(request: Request, response: Response) -> SavedDrawing:
        """Save a drawing and its label for training. It is on the disk when this answers."""
        if _content_type(request) != "application/json":
            raise HTTPException(415, "Content-Type: wanted application/json")
        given = _parse(LabelledDrawing, await _body(request))
        image = np.rint(255 * np.array(given.pixels)).astype(np.uint8).tobytes()
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        if given.model not in models:
            raise HTTPException(422, f"model: wanted one of {', '.join(models)}")
        if not any(image):
            raise HTTPException(422, f"pixels: {NO_INK}")
        drawing = Drawing(str(given.id), image, given.label, given.model, given.answer, now)
        if not await asyncio.to_thread(drawings.add, drawing):
            response.status_code = 200
        return SavedDrawing(id=given.id)

    @router.delete("/{id}", status_code=204, responses=_problems(404, 422, 503))
    async def delete(id: UUID) -> None:
        """Delete a drawing for good."""
        if not await asyncio.to_thread(drawings.delete, str(id)):
            raise HTTPException(404, "no drawing with this id")

    return router


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for openapi.json."""
    return {status: {"model": Problem} for status in statuses}


def _takes(schema: type[BaseModel] | None, pictures: bool = False) -> dict[str, Any]:
    """The request body of a route, for openapi.json: FastAPI cannot tell, because _body and _parse read it."""
    picture = {"schema": {"type": "string", "format": "binary"}}
    content: dict[str, Any] = dict.fromkeys(PICTURE_TYPES, picture) if pictures else {}
    if schema is not None:
        content["application/json"] = {"schema": schema.model_json_schema()}
    return {"requestBody": {"required": True, "content": content, "description": f"At most {MAX_BODY:,} bytes."}}


def _check_picture_type(kind: str, others: str) -> None:
    if kind in HEIC_TYPES and kind not in PICTURE_TYPES:
        raise HTTPException(415, "image/heic needs pillow-heif on the server: pip install -e .[heic]; or send a JPEG")
    if kind not in PICTURE_TYPES:
        raise HTTPException(415, f"Content-Type: wanted {others}{', '.join(PICTURE_TYPES)}")


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _body(request: Request) -> bytes:
    try:
        async with asyncio.timeout(MAX_BODY_SECONDS):
            return await request.body()
    except TimeoutError as error:
        raise HTTPException(408, f"the body took longer than {MAX_BODY_SECONDS:g} seconds") from error


async def _done(pool: ThreadPoolExecutor, work: Callable[[bytes], Result], body: bytes) -> Result:
    if is_small(body):  # faster here than in another thread
        return work(body)
    return await asyncio.get_running_loop().run_in_executor(pool, work, body)


def _parse(schema: type[Schema], body: bytes) -> Schema:
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False)) from error


def _image(given: Image) -> NDArray[np.float32]:
    image = np.array([given.pixels], np.float32)
    if not image.any():
        raise PictureError(NO_INK)
    return image


def _predict(
    name: str, reader: Reader, prepare: Callable[[Content], NDArray[np.float32]], content: Content
) -> Prediction:
    started = time.perf_counter()
    image = prepare(content)
    answer = reader.answers(image[None])[0]
    pixels = image[0].astype(float).round(4).tolist()
    milliseconds = round(1000 * (time.perf_counter() - started), 3)
    return Prediction(**vars(answer), image=pixels, model=name, milliseconds=milliseconds)
