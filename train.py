"""Train a classifier of handwritten digits; `python train.py --help` shows what there is."""

import hydra
from omegaconf import DictConfig

from digits.cli import plain_errors


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> float | None:
    """Hydra composes the config; digits.launch checks it before this is called."""
    from digits.training.train import train  # brings torch and lightning in, which --help and --cfg do without

    return train(cfg)


if __name__ == "__main__":
    with plain_errors():
        main()
