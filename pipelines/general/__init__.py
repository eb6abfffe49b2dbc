"""`tinyaug distill-general`."""
