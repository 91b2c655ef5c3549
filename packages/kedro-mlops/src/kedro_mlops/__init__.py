"""What runs the models of a Kedro project, and knows no project."""

__version__ = "0.1.0"
