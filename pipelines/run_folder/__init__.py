"""The folder of a run: storage, locks, run.json, completion records."""
