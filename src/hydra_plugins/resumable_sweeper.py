"""Hydra looks for sweepers in this package only. It imports this file in every command, so this must be quick."""

from resumable_sweeps.sweeper import ResumableSweeper


class SweepOrSearch(ResumableSweeper):
    """The sweeper, under a name that Hydra accepts."""
