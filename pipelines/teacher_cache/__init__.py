"""The cache of a teacher's outputs."""
