"""Predictions and late labels in; a decision on retraining, alerts and a report out.

Nodes: ``nodes`` join and look, ``drift`` and ``performance`` measure, ``triggers`` decide,
``challenger_review`` judges what is tried, ``alerts``, ``prometheus_text`` and ``report`` tell.
What they make is in ``findings`` and ``decisions``.
"""
