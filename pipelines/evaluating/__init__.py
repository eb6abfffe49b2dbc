"""Dev scores, predictions and submissions of a task's models."""
