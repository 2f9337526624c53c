"""Train a classifier of handwritten digits; `python train.py --help` shows the choices."""

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from digits.training.ranks import is_distributed
from plain_errors import plain_errors


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> float | None:
    """Hydra composes the config, and digits.launch checks it before this is called."""
    if HydraConfig.get().mode == RunMode.MULTIRUN and is_distributed(cfg.trainer):
        from resumable_sweeps.apart import train_apart

        return train_apart(cfg)
    from digits.training.train import train  # imports torch and lightning, which --help and --cfg do not need

    return train(cfg)


def explain(error: Exception) -> Exception:
    """Name every mistake in the command."""
    from digits.config import explained  # imports pydantic and torch, which --help and --cfg do not need

    return explained(error)


if __name__ == "__main__":
    with plain_errors(explain):
        main()
