"""Numbers and pictures of one run, and many runs side by side."""
