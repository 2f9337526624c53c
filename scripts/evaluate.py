"""The command `digits evaluate`."""

from digits_command import main

if __name__ == "__main__":
    main("evaluate")
