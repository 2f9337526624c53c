"""What the API takes and returns; FastAPI validates with these models and writes openapi.json from them."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from digits_reader.numbers import NumberLine
from digits_reader.reader import DigitProbability

Digit = Annotated[int, Field(ge=0, le=9)]
Ink = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Row = Annotated[list[Ink], Field(min_length=28, max_length=28)]
Rows = Annotated[list[Row], Field(min_length=28, max_length=28)]
PIXELS = "28 rows of 28 numbers, ink 1 and paper 0"


class Pixels(BaseModel):
    """An image as the model takes it."""

    model_config = ConfigDict(strict=True, extra="forbid")
    pixels: Rows = Field(description=f"{PIXELS}; used as they are, neither scaled nor centred")


class DataUrl(BaseModel):
    """A picture as the canvas of a page gives it."""

    model_config = ConfigDict(strict=True, extra="forbid")
    picture: str = Field(
        pattern="^data:(image/[^,]+|application/octet-stream);base64,",
        description="a data URL, data:image/png;base64,…, as canvas.toDataURL() gives it",
    )


class LabelledDrawing(BaseModel):
    """A drawing and the digit it shows."""

    model_config = ConfigDict(strict=True, extra="forbid")
    id: Annotated[UUID, Field(strict=False, description="made by the client; a second drawing with it is not saved")]
    pixels: Rows = Field(description=PIXELS)
    label: Digit = Field(description="the digit it shows")
    model: Annotated[str, Field(max_length=200, description="name of the model that read it")]
    answer: Digit = Field(description="the digit that model answered")


class SavedDrawing(BaseModel):
    """The drawing is saved."""

    id: UUID


class ModelFacts(BaseModel):
    """A model of this server."""

    name: str
    classes: list[int]
    dataset: str
    test_accuracy: float = Field(description="on the dataset's test split, 0 to 1")
    strangers: str | None = Field(description="how well it reads pictures by strangers, in words; null if not measured")


class Models(BaseModel):
    """All models of this server, the default first."""

    models: list[ModelFacts]


class Prediction(BaseModel):
    """A model's answer to one picture."""

    digit: int
    confidence: float
    runner_up: int
    probabilities: list[DigitProbability] = Field(description="of every digit the model knows, the highest first")
    certain: bool | None = Field(
        description="whether this looks like a digit, else `digit` is only the most similar one; "
        "null if the model has not learned to tell"
    )
    reason: str | None = Field(description="why it looks like no digit")
    image: list[list[float]] = Field(description=f"the model's input: {PIXELS}")
    model: str
    pages: int = Field(description="of the file; the first was read")
    milliseconds: float = Field(description="for preparation and model, without waiting")


class Number(BaseModel):
    """The digits on a picture, from left to right, line by line."""

    lines: list[NumberLine] = Field(description="from top to bottom; boxes are left, top, right, bottom in pixels")
    model: str
    pages: int = Field(description="of the file; the first was read")


class Problem(BaseModel):
    """What went wrong, in one sentence."""

    error: str
    code: str = Field("", description="of a picture: no_picture, no_ink, several_digits or no_single_digit")
