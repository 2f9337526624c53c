"""Many runs by one command: a grid of given values, or a search with Optuna."""
