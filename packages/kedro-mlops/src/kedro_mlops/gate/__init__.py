"""Candidate and champion in; a decision out.

Nodes: ``nodes`` judge, by ``checks`` and by ``behaviour``, the suite of the data's owner.
"""
