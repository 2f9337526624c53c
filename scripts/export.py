"""The command `digits export`."""

from digits_command import main

if __name__ == "__main__":
    main("export")
