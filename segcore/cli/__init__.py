"""The command line: one module a group of commands, each a thin layer over the library.

Nothing here is imported by the rest of segcore, and what takes long to import is imported by the command
that needs it, so that `--help` answers at once.
"""
