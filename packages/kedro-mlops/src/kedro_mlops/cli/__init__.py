"""The commands ``kedro run``, ``serve``, ``retrain``, ``replay`` and ``champion``."""
