"""The routes under /api: read a picture or pixels, list the models, save and delete drawings."""

import asyncio
import os
import time
from base64 import b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, TypeVar
from uuid import UUID

import numpy as np
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from numpy.typing import NDArray
from pydantic import ValidationError

from digits_reader.decode import FORMATS, PictureError, decode, is_small
from digits_reader.drawings import Drawing, Drawings
from digits_reader.guard import MAX_BODY
from digits_reader.numbers import read_lines
from digits_reader.pictures import NO_INK, prepare
from digits_reader.reader import Reader
from digits_reader.schemas import (
    DataUrl,
    LabelledDrawing,
    ModelFacts,
    Models,
    Number,
    Pixels,
    Prediction,
    Problem,
    SavedDrawing,
)

PICTURE_TYPES = [f"image/{kind.lower()}" for kind in FORMATS] + ["application/octet-stream"]
# For openapi.json: FastAPI cannot tell that a route takes a picture, because `_picture` reads it.
PICTURE = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in PICTURE_TYPES}
        | {"application/json": {"schema": DataUrl.model_json_schema()}},
        "description": f"At most {MAX_BODY:,} bytes.",
    }
}

EXPLAINED = {409: {"description": "Several digits on the picture; /api/number reads them"}}

Result = TypeVar("Result")


def read_routes(readers: dict[str, Reader]) -> APIRouter:
    """Routes that read pictures with the named readers, the default first."""
    router = APIRouter()
    pool = ThreadPoolExecutor(os.cpu_count())  # large pictures take memory: no more at once than there are cores

    async def named(
        model: Annotated[str, Query(description="the model's name; the first model by default")] = "",
    ) -> str:
        if model and model not in readers:
            raise HTTPException(404, f"no such model, wanted one of {', '.join(readers)}")
        return model or next(iter(readers))

    Name = Annotated[str, Depends(named)]  # noqa: N806
    problems = _problems(404, 408, 413, 415, 422, 503)

    @router.post("/api/predict", responses=problems | _problems(409), openapi_extra=PICTURE)
    async def predict(request: Request, name: Name) -> Prediction:
        """Read the digit on a picture."""
        return await _done(pool, partial(_predict, name, readers[name]), await _picture(request))

    @router.post("/api/pixels", responses=_problems(400) | problems, dependencies=[Depends(_wants_json)])
    async def pixels(given: Pixels, name: Name) -> Prediction:
        """Read the digit in 28x28 pixels."""
        started = time.perf_counter()
        image = np.array([given.pixels], np.float32)
        if not image.any():
            raise PictureError(*NO_INK)
        return _prediction(name, readers[name], image, started)

    @router.post("/api/number", responses=problems, openapi_extra=PICTURE)
    async def number(request: Request, name: Name) -> Number:
        """Read the digits on a picture from left to right, line by line."""
        return await _done(pool, partial(_number, name, readers[name]), await _picture(request))

    @router.get("/api/models")
    async def models() -> Models:
        """List the models."""
        facts = ("classes", "dataset", "test_accuracy", "strangers")
        each = {name: {key: getattr(reader, key) for key in facts} for name, reader in readers.items()}
        return Models(models=[ModelFacts(name=name, **of_model) for name, of_model in each.items()])

    return router


def drawing_routes(drawings: Drawings, models: list[str]) -> APIRouter:
    """Routes that save and delete drawings; `models` are the model names that a drawing may have."""
    router = APIRouter(prefix="/api/drawings")

    @router.post(
        "",
        status_code=201,
        responses=_problems(400, 408, 413, 415, 422, 503)
        | {200: {"model": SavedDrawing, "description": "Saved before"}},
        dependencies=[Depends(_wants_json)],
    )
    async def save(given: LabelledDrawing, response: Response) -> SavedDrawing:
        """Save a drawing and its label for training. It is on the disk when this answers."""
        if given.model not in models:
            raise HTTPException(422, f"model: wanted one of {', '.join(models)}")
        image = np.rint(255 * np.array(given.pixels)).astype(np.uint8)
        if not image.any():
            raise PictureError(*NO_INK)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        drawing = Drawing(str(given.id), image.tobytes(), given.label, given.model, given.answer, now)
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
    return {status: {"model": Problem} | EXPLAINED.get(status, {}) for status in statuses}


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _wants_json(request: Request) -> None:
    if _content_type(request) != "application/json":
        raise HTTPException(415, "Content-Type: wanted application/json")


async def _picture(request: Request) -> bytes:
    """The picture file that a request's body is, or that its JSON holds."""
    kind = _content_type(request)
    if kind == "application/json":
        return _from_data_url(await request.body())
    if not kind.startswith("image/") and kind not in PICTURE_TYPES:  # the decoder knows which picture it is
        how = "; send the file as the body: curl --data-binary @seven.png -H 'Content-Type: image/png'"
        raise HTTPException(415, f"Content-Type: wanted one of {', '.join(PICTURE_TYPES)}, application/json{how}")
    return await request.body()


def _from_data_url(body: bytes) -> bytes:
    try:
        url = DataUrl.model_validate_json(body).picture
    except ValidationError as error:
        wanted = '{"picture": "data:image/png;base64,…"}; /api/pixels takes 28x28 pixels'
        raise HTTPException(422, f"the JSON: wanted {wanted}") from error
    try:
        return b64decode(url.partition(",")[2], validate=True)
    except ValueError as error:
        raise PictureError("the base64 in the data URL is damaged") from error


async def _done(pool: ThreadPoolExecutor, work: Callable[[bytes], Result], body: bytes) -> Result:
    if is_small(body):  # faster here than in another thread
        return work(body)
    return await asyncio.get_running_loop().run_in_executor(pool, work, body)


def _number(name: str, reader: Reader, content: bytes) -> Number:
    picture = decode(content)
    return Number(lines=read_lines(reader, picture), model=name, pages=picture.info["pages"])


def _predict(name: str, reader: Reader, content: bytes) -> Prediction:
    started = time.perf_counter()
    picture = decode(content)
    return _prediction(name, reader, prepare(picture), started, picture.info["pages"])


def _prediction(name: str, reader: Reader, image: NDArray[np.float32], started: float, pages: int = 1) -> Prediction:
    answer = reader.answers(image[None])[0]
    pixels = image[0].astype(float).round(4).tolist()
    milliseconds = round(1000 * (time.perf_counter() - started), 3)
    return Prediction(**vars(answer), image=pixels, model=name, pages=pages, milliseconds=milliseconds)
