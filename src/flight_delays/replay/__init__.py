from .driver import replay

__all__ = ["replay"]
