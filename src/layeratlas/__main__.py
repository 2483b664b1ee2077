"""The process: `layeratlas` and `python -m layeratlas`, also as one of several that `torchrun` starts."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; an interrupt while it is being imported ends in one line too."""
    try:
        if "TORCHELASTIC_RUN_ID" not in os.environ or os.environ.get("WORLD_SIZE") == "1":
            _command_line()
            return
        from layeratlas.models.member import joined

        with joined() as leads:
            if leads:
                _command_line()
    except KeyboardInterrupt:
        print("layeratlas: interrupted", file=sys.stderr)
        sys.exit(130)


def _command_line() -> None:
    from layeratlas.cli.app import main as command_line

    command_line()


if __name__ == "__main__":
    main()
