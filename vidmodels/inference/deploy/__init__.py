"""Models of one input size for running only: fewer parameters, fewer passes, 2-D convolutions."""

from vidmodels.inference.deploy.convert import Deployed, deploy

__all__ = ["Deployed", "deploy"]
