"""Models of the training verbs: their folders are checked, their configurations, tokenizers and weights are loaded."""
