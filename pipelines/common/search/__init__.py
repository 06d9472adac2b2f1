"""Searches: many training runs as trials of one study, side by side on Ray Tune."""
