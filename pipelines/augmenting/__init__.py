"""`tinyaug augment` and `resample`: input snapshot, candidates, variants."""
