"""One run: fit, keep the best checkpoint, test it once, export it, report it."""

import logging
import warnings

# A user can do nothing about these warnings: they are about libraries, or about what this project chose. Each pattern
# is the beginning of one message; what else a library has to say is shown.
for message in (
    r"The '\w+_dataloader' does not have many workers",  # the digits lie in memory: workers would slow them down
    r"`isinstance\(treespec, LeafSpec\)` is deprecated, ",  # by lightning about torch
    r"`torch\.jit\.trace(_method)?` is deprecated\. ",  # by TensorBoard's graph about torch
    r"Precision (bf16|16)-mixed is not supported by the model summary\. ",  # its estimate of megabytes
    r"Total length of `\w+` across ranks is zero\. Please make sure ",  # data.val_size=0
    r"`LightningModule\.configure_optimizers` returned `None`, this fit will run with no optimizer",  # closed forms
    r"GPU available but not used\. ",  # closed forms and the test are computed on the CPU
    # the interval continues from one epoch to the next, and Network shortens it where all epochs have too few steps
    r"The number of training batches \(\d+\) is smaller than the logging interval Trainer\(log_every_n_steps=\d+\)\. ",
    r"Checkpoint directory .* exists and is not empty\.",  # of the run that is resumed; all in it is kept
    r"The dirpath has changed from .* Only `best_model_path` will be reloaded\.",  # last.ckpt, resumed elsewhere
    r"The `srun` command is available on your system but is not used\. ",  # hardware.py refuses runs that need it
):
    warnings.filterwarnings("ignore", message=message)

# It lists devices that are not there.
logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
