"""`python -m layeratlas`: the command line."""

from layeratlas.cli.app import main

if __name__ == "__main__":
    main()
