"""Pictures drawn by program, in other ways than images to train on, to count how many of them a reader reads."""
