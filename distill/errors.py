"""The error type of this package, what of it only other settings can help, and the end of a run that was stopped."""


class DistillError(ValueError):
    """Raised for input that distillation cannot use; the message says expected, found and remedy."""


class StoppedError(Exception):
    """Raised where `Hooks.stop` asked for it, once everything is kept that a later run goes on from.

    Args:
        step: steps done; 0 outside training.
    """

    def __init__(self, step: int = 0) -> None:
        super().__init__(f"stopped as it was asked to, after step {step:,}")
        self.step = step


class NotFiniteError(DistillError):
    """A loss or gradient that is not finite, in a folder whose checkpoints go on with its own settings alone."""
