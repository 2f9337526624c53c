"""Check the values of a config against the constructor that gets them: its annotations are the schema.

So your own classifier is checked too, without a schema of its own.
"""

import inspect
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict, is_typeddict  # pydantic needs this TypedDict before Python 3.12

# _target_ runs code, so no other packages
ALLOWED_TARGETS = ("digits.", "resumable_sweeps.", "lightning.", "torch.", "torchmetrics.")
FOR_HYDRA = ("_target_", "_convert_", "_recursive_")
TOO_SHORT = {
    "too_short": "a list of at least {min_length}",
    "string_too_short": "a text of at least {min_length} character",
}
LIBRARY_WORDS = [("Input should be ", ""), ("Value error, ", ""), ("a valid i", "an i"), ("valid ", "")]
LIBRARY_WORDS += [("an array", "a list"), ("array", "list"), ("an object", "a dictionary")]


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
    values = {key: value for key, value in node.items() if key not in FOR_HYDRA}
    made = {key for key, value in values.items() if isinstance(value, dict) and "_target_" in value}
    types = {key: Any if key in made else each.annotation for key, each in parameters.items()}
    yield from mistakes_in_values(values, types, path)
    for key, each in parameters.items():
        if each.default is each.empty and key not in node and key not in given:
            yield f"{path}.{key}: missing, and {name} needs it"


def foreign_targets(path: str, node: Any) -> Iterator[str]:
    """A line for each _target_ in a node, however deep, that begins with none of ALLOWED_TARGETS."""
    pairs = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for key, each in pairs:
        if key == "_target_" and not str(each).startswith((*ALLOWED_TARGETS, "optuna.")):  # a search's pruner
            yield f"{path}._target_: got {each}, wanted a class of {', '.join(name + '*' for name in ALLOWED_TARGETS)}"
        yield from foreign_targets(f"{path}.{key}", each)


def mistakes_in_values(values: Mapping[str, Any], types: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Check values by the types of their keys.

    Args:
        values: a list may stand for a tuple, as in JSON.
        types: with their ranges.
        path: of the mapping in the config, with dots.

    Yields:
        A line for each wrong value, and for each key that does not exist.
    """
    for key, value in values.items():
        where = f"{path}.{key}" if path else key
        if key not in types:
            yield f"{where}: no such key{nearest(key, types, path)}"
        elif isinstance(value, Mapping) and (inner := _types_in(types[key])):
            yield from mistakes_in_values(value, inner, where)
        else:
            try:
                TypeAdapter(mapping(key, {key: types[key]})).validate_json(json.dumps({key: value}))
            except ValidationError as error:
                yield f"{where}: got {value!r}, wanted {wanted(error.errors())}"


def mapping(name: str, types: Mapping[str, Any]) -> Any:
    """The type of a mapping with keys of these types and no others."""
    config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)
    return with_config(config)(TypedDict(name, types, total=False))  # type: ignore[operator]


def _types_in(kind: Any) -> dict[str, Any]:
    """The types of a TypedDict by key, or of one in a union like `Augmentation | None`."""
    kinds = [each for each in (kind, *get_args(kind)) if is_typeddict(each)]
    return kinds[0].__annotations__ if kinds else {}


def wanted(details: Iterable[ErrorDetails]) -> str:
    """What a value should be: pydantic's errors on it, in the words of this project."""
    told = [each for each in details if each["type"] != "needs_python_object"]  # an object that no config can hold
    reasons = [TOO_SHORT.get(each["type"], "").format(**each.get("ctx", {})) or each["msg"] for each in told]
    for theirs, ours in LIBRARY_WORDS:
        reasons = [reason.replace(theirs, ours) for reason in reasons]
    return " or ".join(dict.fromkeys(reasons))


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
