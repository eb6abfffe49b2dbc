"""The options of the command line: each is written once, as a field of a dataclass, with flag, help and bounds."""
