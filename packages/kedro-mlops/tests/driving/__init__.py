"""The real commands, in a copy of the project that the engine is installed in."""
