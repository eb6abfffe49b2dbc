"""SQuAD in the jobs: rows as windows of tokens, answers judged, answers followed through augmentation."""
