"""The command line."""

from layeratlas.cli.app import app, main

__all__ = ["app", "main"]
