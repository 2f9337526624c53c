"""Check the values of a config against the constructor that gets them: its annotations are the schema.

So your own classifier is checked too, without a schema of its own.
"""

import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

# _target_ runs code, so no other packages
ALLOWED_TARGETS = ("digits.", "resumable_sweeps.", "lightning.", "torch.", "torchmetrics.")
TOO_SHORT = {
    "too_short": "a list of at least {min_length}",
    "string_too_short": "a text of at least {min_length} character",
}
LIBRARY_WORDS = (("Input should be ", ""), ("Value error, ", ""), ("a valid i", "an i"), ("valid ", ""))


def mistakes_in_node(
    path: str,
    node: Any,
    given: Collection[str] = (),
    allowed: tuple[str, ...] = ALLOWED_TARGETS,
) -> Iterator[str]:
    """Compare the values of a node with the constructor that its _target_ names.

    Args:
        path: of the node in the config, with dots.
        node: its values; a mistake if it is no mapping.
        given: parameters that the code passes itself.
        allowed: what the name of a target may begin with.

    Yields:
        A line for each mistake: key, what it got, what was wanted.
    """
    name = node.get("_target_") if isinstance(node, Mapping) else node
    if not isinstance(node, Mapping) or not isinstance(name, str) or not name.startswith(allowed):
        yield f"{path}._target_: got {name}, wanted a class of {', '.join(each + '*' for each in allowed)}"
        return
    try:
        parameters = parameters_of(located(name))
    except (ImportError, AttributeError) as error:
        yield f"{path}._target_: got {name}, which cannot be imported ({error})"
        return
    for key, value in node.items():
        if key in parameters and not (isinstance(value, dict) and "_target_" in value):
            yield from mistakes_in_value(f"{path}.{key}", value, parameters[key].annotation)
        elif key not in parameters and key not in ("_target_", "_convert_"):
            yield f"{path}.{key}: no such key{nearest(key, parameters, path)}"
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in node and key not in given:
            yield f"{path}.{key}: missing, and {name} needs it"


def mistakes_in_value(path: str, value: Any, annotation: Any) -> Iterator[str]:
    """Check one value against a type with its range.

    Yields:
        A line for a wrong value; for a mapping, a line for each wrong value in it.
    """
    adapter = TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True, strict=True))
    try:
        adapter.validate_python(value)
    except ValidationError as error:
        by_key: dict[Any, list[ErrorDetails]] = {}
        for detail in error.errors():
            key = detail["loc"][0] if detail["loc"] else None
            by_key.setdefault(key if isinstance(value, Mapping) and key in value else None, []).append(detail)
        for key, details in by_key.items():
            if key is None:
                yield f"{path}: got {value!r}, wanted {wanted(details)}"
            elif details[0]["type"] == "extra_forbidden":
                yield f"{path}.{key}: no such key{nearest(str(key), keys_of(annotation), path)}"
            else:
                yield f"{path}.{key}: got {value[key]!r}, wanted {wanted(details)}"


def wanted(details: Iterable[ErrorDetails]) -> str:
    """What a value should be: pydantic's errors on it, in the words of this project."""
    reasons = [TOO_SHORT.get(each["type"], "").format(**each.get("ctx", {})) or each["msg"] for each in details]
    for theirs, ours in LIBRARY_WORDS:
        reasons = [reason.replace(theirs, ours) for reason in reasons]
    return " or ".join(dict.fromkeys(reasons))


def keys_of(annotation: Any) -> set[str]:
    """The keys of a TypedDict, or of one in a union like `Augmentation | None`."""
    return {key for each in (annotation, *get_args(annotation)) for key in getattr(each, "__annotations__", {})}


def located(name: str) -> Any:
    """The class or function of a dotted name."""
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def parameters_of(target: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a class or function, by name; for a class with **options, also those of its base classes."""
    inits = (
        [vars(cls)["__init__"] for cls in target.__mro__ if "__init__" in vars(cls)]
        if inspect.isclass(target)
        else [target]
    )
    found: dict[str, inspect.Parameter] = {}
    for init in inits:
        try:
            hints = get_type_hints(init, include_extras=True)
        except NameError:  # an annotation that is imported for type checkers only
            hints = {}
        parameters = inspect.signature(init).parameters.values()
        for parameter in parameters:
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) and parameter.name != "self":
                # the subclass passes what its bases require, so only its own parameters can be required
                default = parameter.default if init is inits[0] else None
                typed = parameter.replace(annotation=hints.get(parameter.name, Any), default=default)
                found.setdefault(parameter.name, typed)
        if not any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters):
            break
    return found


def nearest(wrong: str, valid: Iterable[Any], path: str = "") -> str:
    """The end of a message about a name that does not exist: the most similar names, or all names."""
    names = sorted(str(name) for name in valid if not str(name).startswith("_"))
    near = get_close_matches(wrong, names, n=2)
    if near:
        return "; did you mean " + " or ".join(f"{path}.{name}" if path else name for name in near) + "?"
    return f"; there are {', '.join(names)}" if names else "; there are none"
