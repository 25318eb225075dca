"""`python -m ecgpu`: the command line."""

import sys

from . import _native


def main() -> None:
    """Runs the command line and exits with its code."""
    start = [sys.executable, "-m", "ecgpu"]
    sys.exit(_native.command_line(start, _native.__file__, sys.argv[1:]))


if __name__ == "__main__":
    main()
