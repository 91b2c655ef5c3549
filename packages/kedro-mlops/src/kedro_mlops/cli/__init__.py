"""The project's commands, a module for each that is long."""
