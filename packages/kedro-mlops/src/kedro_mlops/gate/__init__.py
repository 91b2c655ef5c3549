"""Candidate and champion in; a decision out.

Nodes: ``nodes`` judge, by ``checks`` and by ``behaviour``, the suite of the data's owner;
``trial`` says how long a trial on live rows would take.
"""
