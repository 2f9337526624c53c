"""The command `digits read`."""

from digits_command import main

if __name__ == "__main__":
    main("read")
