"""Train the ink network and write it: python -m digits.ink (forty minutes on two cores)."""

import shutil
from pathlib import Path

import cyclopts
import onnx
import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from atomic_files import atomic_path
from digits.ink.network import InkNet
from digits.ink.training import InkModule, Scenes
from digits.onnx_file import OPSET, portable, with_half_weights

OUTPUT = Path("src/digits_reader/page/ink.onnx")


def main(path: Path = OUTPUT, /, *, scenes: int = 24_000, epochs: int = 11, seed: int = 0) -> None:
    """Train the ink network on drawn scenes and write it as an ONNX file; after a kill the same command goes on.

    Args:
        path: the file.
        scenes: to draw and train on.
        epochs: how often to go through them.
        seed: of scenes and training.
    """
    folder = Path("outputs/ink", f"{scenes}_{epochs}_{seed}")
    seed_everything(seed)
    module, data = InkModule(), Scenes(scenes, seed=seed)
    last = ModelCheckpoint(folder, filename="last", enable_version_counter=False)
    trainer = Trainer(max_epochs=epochs, accelerator="cpu", logger=False, callbacks=[last])
    trainer.fit(module, data, ckpt_path=found if (found := folder / "last.ckpt").exists() else None)
    export(module.net, path)
    shutil.rmtree(folder)  # the next call trains anew
    print(f"{path}: {path.stat().st_size:,} bytes, overlap {trainer.callback_metrics['val/overlap']:.4f}")


def export(net: InkNet, path: Path) -> None:
    """Write a network with weights of 16 bits: pictures float32 [1, 3, H, W], 0 to 1, to logits [1, 1, H, W]."""
    any_size = torch.export.Dim.DYNAMIC
    program = torch.onnx.export(
        net.eval(),
        (torch.rand(1, 3, 96, 128),),
        input_names=["pictures"],
        output_names=["logits"],
        dynamic_shapes=({2: any_size, 3: any_size},),
        external_data=False,
        opset_version=OPSET,
        verbose=False,
    )
    assert program is not None
    proto = with_half_weights(portable(program.model_proto))
    onnx.checker.check_model(proto, full_check=True)
    with atomic_path(path) as temporary:
        onnx.save(proto, temporary)


if __name__ == "__main__":
    cyclopts.run(main)
