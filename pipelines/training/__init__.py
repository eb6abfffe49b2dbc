"""The training verbs: fine-tune a teacher, distil a student, evaluate; files, checks and reports around `distill`."""
