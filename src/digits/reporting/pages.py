"""HTML pages from templates, and images inside them."""

import base64
import io
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from PIL import Image
from torch import Tensor


def render(template: str, package: str = "digits.reporting", **facts: Any) -> str:
    """Fill in a template.

    Args:
        template: a file of `package`. It may include files of digits.reporting, such as page.css.
        package: where the template lies.
        facts: what the template shows, by name. A name that the template uses must be among them.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name, "") for name in (package, "digits.reporting")]),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
    )
    return environment.get_template(template).render(**facts)


def data_uri(image: Tensor) -> str:
    """An image as the address of a PNG that a page holds itself: dark ink on light paper.

    Args:
        image: uint8 [28, 28] or [28, 28, 3], ink 255.
    """
    file = io.BytesIO()
    Image.fromarray((255 - image).numpy()).save(file, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
