"""Classifiers of digits, one a file."""
