"""Losses that more than one head or task may use."""
