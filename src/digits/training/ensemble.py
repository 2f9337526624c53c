"""Make one model of several finished runs, in a new run folder."""

from pathlib import Path
from typing import Any

from atomic_files import sha256_of
from digits.models.ensemble import Ensemble
from digits.record import Epoch, Member, Metrics, RunRecord
from digits.run_folder import RunFolder
from digits.training.checkpoints import AtomicCheckpointIO, load_model
from digits.training.finish import data_of, finish
from digits.training.run import Run
from plain_errors import ConfigError

SAME = ("name", "sha256", "test_split", "test", "classes")  # facts that the data of all members must share


def export_ensemble(members: list[RunFolder], into: Path | None = None) -> tuple[RunFolder, Metrics]:
    """Average the best checkpoints of finished runs: test, export and report the result as a run in a new folder.

    It has no validation figures if a member may have learned from the validation digits of another.

    Args:
        members: the folders of the runs.
        into: the folder of the result; None for one in outputs.

    Raises:
        ConfigError: there are less than two members, one is not finished, they differ in data or classes, or `into`
            exists.
        DataError, ModelFileError: the data or a checkpoint are not what they should be.
    """
    if into and into.exists():
        raise ConfigError(f"--into: {into} exists; wanted a new folder")
    records = [member.record() for member in members]
    _check(members, records)
    models = [load_model(member.best) for member in members]
    ensemble = Ensemble(list(models[0].hparams["classes"]), [model.described() for model in models])
    for member, model in zip(ensemble.members, models, strict=True):
        member.load_state_dict(model.state_dict())

    figures = [Member(run=str(member), **_figures(member.metrics())) for member in members]
    folder = RunFolder.claim(str(into) if into else None, "ensemble")
    names = [f"{member} (best.ckpt {sha256_of(member.best)[:12]})" for member in members]
    rows = [row for record in records for row in record.history]
    facts = {"config": _config(records, names), "data": records[0].data, "members": figures}
    folder.write_record(RunRecord.begun(model="ensemble", **facts))
    with Run(folder) as run:
        checkpoint = {"state_dict": ensemble.state_dict(), **ensemble.described()}
        AtomicCheckpointIO().save_checkpoint(checkpoint, folder.best)
        seconds, images = sum(row.seconds for row in rows), sum(row.images or 0 for row in rows)
        run.record.history = [Epoch(epoch=0, step=0, seconds=seconds, images=images)]
        metrics = finish(run, folder.config(), data_of(folder.config()))
    return folder, metrics


def _figures(metrics: Metrics) -> dict[str, Any]:
    return metrics.model_dump(include={"val_accuracy", "test_accuracy", "test_ece"})


def _check(members: list[RunFolder], records: list[RunRecord]) -> None:
    if len({member.path.resolve() for member in members}) < max(2, len(members)):
        raise ConfigError(f"--ensemble: got {', '.join(map(str, members))}; wanted two different runs or more")
    for member, record in zip(members, records, strict=True):
        if not record.reported:
            raise ConfigError(f"{member}: {record.status}, wanted the folder of a finished run with a report")
        for key in SAME:
            found, wanted = getattr(record.data, key), getattr(records[0].data, key)
            if found != wanted:
                raise ConfigError(
                    f"{member}: its data have {key} {found}, and those of {members[0]} {wanted}; "
                    "wanted members that were tested on the same digits"
                )


def _config(records: list[RunRecord], members: list[str]) -> dict[str, Any]:
    """The config of the ensemble: data and limits are those of the first member."""
    config = records[0].config
    splits = {(record.config["data"]["seed"], record.config["data"]["val_size"]) for record in records}
    trainer = config["trainer"] | ({"limit_val_batches": 0} if len(splits) > 1 else {})
    model = {"_target_": "digits.models.ensemble.Ensemble", "members": members}
    unset = dict.fromkeys(("name", "callbacks", "logger", "search"))
    return config | unset | {"tags": [], "model": model, "trainer": trainer}
