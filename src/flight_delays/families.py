"""The families of models that may be tried; ``modelling.n_trials`` says which, and how often."""

from kedro_mlops.models.families import FAMILIES

__all__ = ["FAMILIES"]
