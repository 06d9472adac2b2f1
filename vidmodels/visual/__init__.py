"""Pictures, videos, the live display and the report of a run; drawn from numpy arrays, free of torch."""
