"""Kedro settings of the example: none of its own."""
