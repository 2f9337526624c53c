"""Tables in Markdown, and the two files of a result."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def write(folder: Path, name: str, record: dict[str, Any], markdown: str) -> None:
    """Write `record` as `name`.json and `markdown` as `name`.md into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")
    (folder / f"{name}.md").write_text(markdown, encoding="utf-8")
