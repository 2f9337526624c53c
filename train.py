"""Train a classifier of handwritten digits; `python train.py --help` shows the choices."""

import sys

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from digits.choices import listed
from digits.threads import prepare_threads
from digits.training.ranks import rank
from plain_errors import plain_errors, stop


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> float | None:
    """One run, or one job of a sweep: check the config, claim a folder, train."""
    is_job = HydraConfig.get().mode == RunMode.MULTIRUN
    if not is_job and rank() == 0 and cfg.resume is None:
        chosen = HydraConfig.get().runtime.choices
        parts = (f"{group} {chosen[group]}" for group in ("experiment", "model", "data") if chosen[group])
        print("   ".join(parts), "  loading PyTorch …", flush=True)
    prepare_threads()
    from digits.start import started  # after the first line, as the imports take seconds

    try:
        with started(cfg) as (config, folder):
            # Lightning asks when it is imported which rank this is, and a left-over answer has been forgotten only now
            from digits.training.train import train

            prints = not is_job and rank() == 0
            if prints:
                print(f"folder {folder.path}", flush=True)
            return train(config, folder, prints)
    except Exception as error:
        if is_job or isinstance(error, BrokenPipeError):
            raise
        stop(explain(error))  # now, as Hydra would print a line of its own before it


def explain(error: Exception) -> Exception:
    """Name every mistake in the command."""
    from digits.config import explained  # imports pydantic and torch, which --help and --cfg do not need

    return explained(error)


if __name__ == "__main__":
    OmegaConf.register_new_resolver("choices", listed)  # for --help
    flags = ("-m", "--multirun")  # Hydra refuses them between overrides
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda word: word not in flags)
    with plain_errors(explain):
        main()
