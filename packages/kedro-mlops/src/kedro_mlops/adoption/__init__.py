"""Adoption: a table becomes a project of its own.

In comes where a table is (``opening``). It is profiled inside the engine (``profile``); from that
follows what an owner would have decided, with a reason for each column (``decisions``), and what
they would have written (``writing``).
"""
