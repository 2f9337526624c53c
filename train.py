"""Train a classifier of handwritten digits; `python train.py --help` shows the choices."""

import hydra
from omegaconf import DictConfig

from plain_errors import plain_errors


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> float | None:
    """Hydra composes the config, and digits.launch checks it before this is called."""
    from digits.training.train import train  # imports torch and lightning, which --help and --cfg do not need

    return train(cfg)


def explain(error: Exception) -> Exception:
    """Name every mistake in the command."""
    from digits.config import explained  # imports pydantic and torch, which --help and --cfg do not need

    return explained(error)


if __name__ == "__main__":
    with plain_errors(explain):
        main()
