"""HTML pages from templates, and images inside them."""

import base64
import io
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from PIL import Image
from torch import Tensor


def render(template: str, package: str = "digits.reporting", **values: Any) -> str:
    """Fill in a template of `package` with values by name; each that it uses must be given.

    It may include files of digits.reporting, such as page.css.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name, "") for name in (package, "digits.reporting")]),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
    )
    return environment.get_template(template).render(**values)


def data_uri(image: Tensor) -> str:
    """An image, uint8 [28, 28] or [28, 28, 3] with ink 255, as the data URI of a PNG: dark ink on light paper."""
    file = io.BytesIO()
    Image.fromarray((255 - image).numpy()).save(file, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
