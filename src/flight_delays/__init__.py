"""From tabular data to a served, watched, self-renewing model."""

__version__ = "0.1.0"
