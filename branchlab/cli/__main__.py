"""``python -m branchlab.cli``: the command line, also where the console script is not on PATH."""

from branchlab.cli import main

if __name__ == "__main__":
    main()
