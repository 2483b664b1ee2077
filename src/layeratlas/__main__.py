"""The process: `layeratlas` and `python -m layeratlas`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; an interrupt while it is being imported ends in one line too."""
    try:
        from layeratlas.cli.app import main as command_line

        command_line()
    except KeyboardInterrupt:
        print("layeratlas: interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
