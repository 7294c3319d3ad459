"""Primus Lens: what every training job of a fleet logs to Weights & Biases, stored and shown."""

__version__ = "0.1.0"
