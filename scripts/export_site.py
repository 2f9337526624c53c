"""The command `digits site`."""

from digits_command import main

if __name__ == "__main__":
    main("site")
