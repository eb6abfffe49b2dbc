"""`tinyaug audit`: whether the variants of an augmentation keep the label of their original, by a teacher."""
