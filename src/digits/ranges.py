"""Types of hyperparameters, with their ranges. Constructors have them as annotations; configs are checked by these."""

from typing import Annotated

from pydantic import AfterValidator, Field

Count = Annotated[int, Field(ge=1)]
NonNegativeCount = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Degrees = Annotated[float, Field(ge=0, lt=90)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Digit = Annotated[int, Field(ge=0, le=9)]
Text = Annotated[str, Field(min_length=1)]


def _distinct(digits: list[int]) -> list[int]:
    if len(set(digits)) < len(digits):
        raise ValueError("each digit once")
    return digits


Classes = Annotated[list[Digit], Field(min_length=2), AfterValidator(_distinct)]
