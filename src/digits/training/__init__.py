"""One run: fit, keep the best checkpoint, test it once, export it, report it."""

import logging
import warnings

# A user can do nothing about these warnings: they are about libraries, or about what this project chose.
for message in (
    ".*does not have many workers",  # the digits lie in memory, worker processes would only slow them down
    ".*isinstance.treespec, LeafSpec.",  # by lightning about torch
    ".*torch.jit.trace",  # by TensorBoard's graph about torch
    ".*not supported by the model summary",  # bf16 in the estimate of megabytes
    ".*across ranks is zero",  # data.val_size=0
    ".*this fit will run with no optimizer",  # closed forms
    ".*GPU available but not used",  # closed forms and the test are computed on the CPU
    ".*smaller than the logging interval",  # the interval continues from one epoch to the next
    ".*exists and is not empty",  # the folders of the run that is resumed; all in them is kept
    ".*dirpath has changed",  # by the checkpoint of the last epoch, after a resume elsewhere
    ".*`srun` command is available",  # Slurm is installed, but this run is not one of its jobs
):
    warnings.filterwarnings("ignore", message=message)

# It lists devices that are not there.
logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
