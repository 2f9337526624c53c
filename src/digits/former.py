"""Settings of former versions: what an old run wrote is read in today's words, and a command gets the new ones."""

import re
from collections.abc import Mapping
from typing import Any

ALWAYS = ("best", "last", "fitted", "history", "seed")  # callbacks that could be chosen, and that each run now has
AMOUNTS = ("rotation", "shift", "zoom", "shear", "thickness", "bend")  # of augmentation, once beside the other settings
OPTIMIZERS: dict[str, dict[str, Any]] = {  # what their names stood for
    "adamw": {"_target_": "torch.optim.AdamW", "betas": [0.9, 0.99]},
    "muon": {"_target_": "digits.models.muon.Muon", "momentum": 0.8, "betas": [0.9, 0.95]},
    "sgd": {"_target_": "torch.optim.SGD", "momentum": 0.0},
}


def upgraded(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a run, composed by this version or a former one, as this version composes it."""
    new, callbacks = {"monitor": "val/accuracy", **config}, config.get("callbacks") or {}
    if isinstance(best := callbacks.get("best"), Mapping):
        new["monitor"] = best.get("monitor", new["monitor"])
    if set(ALWAYS) & callbacks.keys():
        new["callbacks"] = {name: node for name, node in callbacks.items() if name not in ALWAYS}
    new["model"] = model_settings(config.get("model") or {})
    if "optimizer" in new["model"]:
        new["model"] = {"_recursive_": False} | new["model"]
    return new


def model_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a model, from a config or a checkpoint of this version or a former one, as in this version."""
    new = {name: value for name, value in settings.items() if name not in AMOUNTS}
    if amounts := {name: settings[name] for name in AMOUNTS if name in settings}:
        new["augmentation"] = amounts
    if isinstance(new.get("optimizer"), str):
        new["optimizer"] = OPTIMIZERS.get(new["optimizer"], OPTIMIZERS["adamw"])
    return new


def former_line(override: str) -> str | None:
    """One line on an override, or a key=value, that only former versions know: the new name. None for any other."""
    if found := re.fullmatch(r"([+~]*)sweep(|[.=].*)", override, re.DOTALL):
        rest = "=custom" if found[2] == "=search" else found[2]
        return f"{override}: sweep is now called search; take {found[1]}search{rest}"
    if re.match(r"[+~]*search\.(storage|study_name)\b", override):
        return f"{override}: a search keeps its trials in its folder, on a cluster too; leave this out"
    if override == "callbacks=closed_form":
        return f"{override}: is now called callbacks=none, which such models take by themselves"
    if override == "~callbacks.mean":
        return f"{override}: no weights are averaged here; leave it out (experiment=reader does it)"
    if found := re.fullmatch(r"model\.optimizer=([a-z]+)", override):
        return f"{override}: is now a choice of its own; take optimizer={found[1]} (there are {', '.join(OPTIMIZERS)})"
    if found := re.match(r"[+~]*callbacks\.best\.monitor(=.*|$)", override):
        return f"{override}: is now called monitor; take monitor{found[1]}"
    if re.match(rf"[+~]*callbacks\.({'|'.join(ALWAYS)})\b", override):
        return f"{override}: each run has this callback now; leave it out (monitor=… chooses the best epoch)"
    return None
