"""Contracts: what each table must keep, declared once and obeyed by all.

In comes a Pandera model, its columns with roles (``columns.column``). Out come columns as data
(``columns.Columns``), rules that a query asks (``rules``), validators for the catalog
(``validation``), parsed text (``parsing``, ``csv_files``), good rows and bad ones with reasons
(``quarantine``), and proof that inputs are known beforehand (``availability``).
"""
