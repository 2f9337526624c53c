"""How fast this is, held against loops that do the same by other means."""
