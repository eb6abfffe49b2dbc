"""`tinyaug run`: all stages from a task to a student."""
