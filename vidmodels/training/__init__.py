"""Learning: optimisers, schedules, precision, guards, checkpoints and the loop, alone or over several processes."""
