"""A text corpus, read and packed for general distillation."""
