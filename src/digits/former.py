"""Settings of former versions: what an old run wrote is read in today's words, and a command gets the new ones."""

import re
from collections.abc import Mapping
from typing import Any

ALWAYS = ("best", "last", "fitted", "history", "seed")  # callbacks that could be chosen, and that each run now has


def upgraded(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a run, composed by this version or a former one, as this version composes it."""
    new, callbacks = {"monitor": "val/accuracy", **config}, config.get("callbacks") or {}
    if "best" in callbacks:
        new["monitor"] = callbacks["best"]["monitor"]
    if set(ALWAYS) & callbacks.keys():
        new["callbacks"] = {name: node for name, node in callbacks.items() if name not in ALWAYS}
    return new


def former_line(override: str) -> str | None:
    """One line on an override, or a key, that only former versions know: the new name. None for any other."""
    if override == "callbacks=closed_form":
        return f"{override}: is now called callbacks=none, which such models take by themselves"
    if override == "~callbacks.mean":
        return f"{override}: no weights are averaged here; leave it out (experiment=reader does it)"
    if found := re.match(r"[+~]*callbacks\.best\.monitor(=.*|$)", override):
        return f"{override}: is now called monitor; take monitor{found[1]}"
    if re.match(rf"[+~]*callbacks\.({'|'.join(ALWAYS)})\b", override):
        return f"{override}: each run has this callback now; leave it out (monitor=… chooses the best epoch)"
    return None
