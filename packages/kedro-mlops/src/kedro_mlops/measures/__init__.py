"""Figures of rows: metrics with their intervals, and how far rows are from others.

In come labels, scores and tables; out come intervals (``metrics``), profiles and distances
(``drift_profile``), and the reference that travels with a model (``drift_reference``).
"""
