"""The commands ``kedro adopt``, ``run``, ``serve``, ``retrain``, ``replay`` and ``champion``."""
