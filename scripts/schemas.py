"""Write JSON Schemas of the files in configs/, so that an editor completes keys, explains them and marks wrong values.

They come from the constructors that also check the command line. Each config names its schema in a comment.
"""

import argparse
import inspect
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Union

import lightning
import yaml
from lightning.pytorch import callbacks, loggers
from lightning.pytorch.loggers import Logger
from pydantic import Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from torch.optim import Optimizer

from digits.config import CONFIGS, GROUPS, TOP_LEVEL
from digits.data.datamodule import DigitsData
from digits.models.classifier import Classifier
from digits.schema import located, mapping, parameters_of
from plain_errors import plain_errors

Interpolation = Annotated[str, Field(pattern=r"^\$\{")]
ARGUMENT = re.compile(r"^ {4}(\w+)(?: \(.*?\))?: (.+(?:\n {5,}\S.*)*)", re.MULTILINE)  # in a docstring's Args


class ConfigSchema(GenerateJsonSchema):
    """Allows any value where JSON has no form for a type."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        return {}


def main(folder: Path) -> None:
    """Write config.json, for files with keys of several groups, and one schema for the files of each single group."""
    one = {"data": DigitsData, "model": Classifier, "optimizer": Optimizer, "trainer": lightning.Trainer}
    named = {"callbacks": lightning.Callback, "logger": Logger}
    groups: dict[str, Any] = {group: Union[*mappings(base)] for group, base in one.items()}
    groups |= nodes_of_their_own()
    groups |= {group: dict[str, Union[*mappings(base), list[Any]]] for group, base in named.items()}  # type: ignore[misc]
    whole = loose("config", {**groups, **TOP_LEVEL, "hydra": dict[str, Any]})
    folder.mkdir(parents=True, exist_ok=True)
    for name, kind in {"config": whole, **groups}.items():
        schema = TypeAdapter(kind).json_schema(schema_generator=ConfigSchema)
        (folder / f"{name}.json").write_text(json.dumps(schema, indent=1))


def nodes_of_their_own() -> dict[str, Any]:
    """A mapping for each node that belongs to no group of the project, like `search`."""
    texts = [path.read_text() for path in CONFIGS.rglob("*.yaml")]
    configs = [yaml.safe_load(text) for text in texts if text.startswith("# @package _global_")]
    nodes = [(key, node) for config in configs for key, node in config.items() if key not in GROUPS]
    targets = {key: node["_target_"] for key, node in nodes if "_target_" in (node or ())}  # one file names the class
    return {key: loose(name, arguments(name)) for key, name in targets.items()}


def mappings(base: type) -> list[Any]:
    """A mapping for each class of this kind that a config names, and for each callback and logger of Lightning's."""
    text = "".join(path.read_text() for path in sorted(CONFIGS.rglob("*.yaml")))
    named = re.findall(r"_target_: ((?:digits|resumable_sweeps|lightning|torch)\.\S+)", text)
    names = [*named, *(f"{module.__name__}.{name}" for module in (callbacks, loggers) for name in module.__all__)]
    return [loose(name, arguments(name)) for name in dict.fromkeys(names) if issubclass(located(name), base)]


def arguments(name: str) -> dict[str, Any]:
    """The type of each argument of the class of this dotted name, with what its docstring says."""
    target = located(name)
    docs = [inspect.cleandoc(each.__doc__ or "") for base in target.__mro__ for each in (base.__init__, base)]
    found = [ARGUMENT.findall(doc.partition("Args:\n")[2]) for doc in reversed(docs)]
    texts = {key: " ".join(text.split()) for matches in found for key, text in matches}
    types = {key: parameter.annotation for key, parameter in parameters_of(target).items()}
    described = {key: Annotated[kind, Field(description=texts.get(key))] for key, kind in types.items()}
    return described | {"_target_": Literal[name], "_recursive_": bool}


def loose(name: str, types: dict[str, Any]) -> Any:
    """A mapping of these keys, none of them required: a file may only change some of another."""
    return mapping(name, {key: kind | Interpolation for key, kind in {"defaults": list[Any], **types}.items()})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    with plain_errors():
        main(parser.parse_args().folder)
