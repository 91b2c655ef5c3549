"""A small house: all that an owner of one table, whose rows have no date, has to write.

``data_engineering`` and ``conf`` are the same of each table; ``contracts.py`` and
``parameters.yml`` are its own. They replace those of the project in a copy of it; see ``house``.
"""
