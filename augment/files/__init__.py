"""A model's files: found by folder or hub name, checked and hashed before torch is imported."""
