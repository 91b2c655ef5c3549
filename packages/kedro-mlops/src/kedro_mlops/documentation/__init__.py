"""Contracts, champion and its owner's words in; data dictionary and model card out."""
