"""Run the command line as `python -m schuss`."""

from schuss.cli.main import main

if __name__ == "__main__":
    main()
