"""The two ways a command fails: the user's mistake and a failure while working."""


class UserError(Exception):
    """A user's mistake, exit code 2; the message states what was expected, what was found and a remedy."""


class JobError(Exception):
    """A failure while working, exit code 1."""


class DiskFullError(JobError):
    """No space is left where files are written: it is of no use to try again."""
