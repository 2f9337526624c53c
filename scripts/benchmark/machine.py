"""The machine that something was measured on."""

from datetime import datetime
from typing import Any

from digits.training.run import git_state, hardware, versions


def machine() -> dict[str, Any]:
    """When and where this runs: time, commit, versions, hardware."""
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    return {"started": started, "git": git_state(), "versions": versions(), "hardware": hardware()}


def in_words(machine: dict[str, Any]) -> str:
    """The same in one line."""
    hardware, versions = machine["hardware"], machine["versions"]
    words = [machine["started"][:10], hardware["cpu"], f"{hardware['cores']} cores", f"{hardware['threads']} threads"]
    words += [*hardware["gpus"], hardware["system"]]
    return ", ".join(words + [f"{name} {versions[name]}" for name in ("python", "torch", "lightning")])
