"""`tinyaug distill`."""
