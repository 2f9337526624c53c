"""The command `digits compare`."""

from digits_command import main

if __name__ == "__main__":
    main("compare")
