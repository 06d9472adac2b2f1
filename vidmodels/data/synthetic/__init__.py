"""The synthetic world: short rendered videos of moving shapes and stick figures with exact truth for every task."""
