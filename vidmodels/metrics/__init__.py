"""Measures of results on arrays and tensors, and the file that a run keeps them in."""
