"""The one error type of this package, and what of it only other settings can help."""


class DistillError(ValueError):
    """Raised for input that distillation cannot use; the message says expected, found and remedy."""


class NotFiniteError(DistillError):
    """A loss or gradient that is not finite, in a folder whose checkpoints go on with its own settings alone."""
