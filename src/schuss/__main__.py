"""Run the command line as `python -m schuss`."""

from schuss.interfaces.cli import main

if __name__ == "__main__":
    main()
