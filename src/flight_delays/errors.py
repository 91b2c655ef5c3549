"""The error a person is meant to read."""


class ProjectError(Exception):
    """Something a person can put right; the message says what, where and what to do next."""
