"""The job: tasks, storage, engines, stages and the command line."""
