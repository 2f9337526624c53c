"""Every mistake in the `search` part of a composed config."""

from collections.abc import Iterator
from typing import Any

from hydra.utils import instantiate
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from digits.schema import in_one_line, located, mistakes_in_node


def mistakes_in_search(config: dict[str, Any]) -> Iterator[str]:
    """Check what a config says of a search.

    Args:
        config: as composed, resolved; `search` is not null.

    Yields:
        A line for each mistake: key, what it got, what was wanted.
    """
    search = config["search"]
    yield from mistakes_in_node("search", search, given={"folder"})
    for part in ("sampler", "pruner"):
        if isinstance(search.get(part), dict):
            yield from _mistakes_in_part(f"search.{part}", search[part], f"optuna.{part}s.")
    if search.get("storage"):
        try:
            create_engine(search["storage"])  # connects to nothing yet
        except (ImportError, SQLAlchemyError) as error:
            reason = in_one_line(error)
            yield f"search.storage: got {search['storage']}, which no database here understands ({reason})"
    if search.get("metric") == "val/loss" and _is_fitted_once(config["model"]):
        yield "search.metric: got val/loss, which this model logs before it is calibrated; take val/accuracy"
    if not config["data"].get("val_size", 1):
        yield "data.val_size: got 0, wanted validation digits: a search compares trials on them"
    if config["trainer"].get("fast_dev_run"):
        yield "trainer.fast_dev_run: a dry run has no value that a search could compare; leave this out"


def _mistakes_in_part(path: str, node: dict[str, Any], package: str) -> Iterator[str]:
    mistakes = list(mistakes_in_node(path, node, allowed=(package,)))
    yield from mistakes
    if not mistakes:
        try:
            instantiate(node, _convert_="all")  # Optuna's annotations do not say which values are good
        except Exception as error:
            yield f"{path}: {in_one_line(error.__cause__ or error)}"


def _is_fitted_once(model: dict[str, Any]) -> bool:
    if [*mistakes_in_node("model", model, given={"classes"})]:
        return False
    return getattr(located(model["_target_"]), "fitted_once", False)
