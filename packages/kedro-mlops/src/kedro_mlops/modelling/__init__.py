"""Model input in; a candidate, measured once on the test window, out.

Nodes: ``nodes`` split, fit and package, ``tuning`` searches (``search``) and chooses (``choice``),
``evaluation`` measures.
"""
