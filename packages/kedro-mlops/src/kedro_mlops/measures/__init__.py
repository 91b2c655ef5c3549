"""Figures of rows: metrics with their intervals, and how far rows are from others.

In come labels, scores and tables; out come intervals (``metrics``), profiles and distances
(``drift_profile``, of what ``tally`` counts in the cells of ``grids``), and what travels with a
model: the reference (``drift_reference``) and what was measured of it (``evaluation``).
"""
