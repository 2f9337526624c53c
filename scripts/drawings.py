"""The command `digits drawings`."""

from digits_command import main

if __name__ == "__main__":
    main("drawings")
