"""The command `digits serve`."""

from digits_command import main

if __name__ == "__main__":
    main("serve")
