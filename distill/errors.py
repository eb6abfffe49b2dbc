"""The one error type of this package."""


class DistillError(ValueError):
    """Raised for input that distillation cannot use; the message says expected, found and remedy."""
