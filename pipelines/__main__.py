"""`python -m pipelines`: the same command line as `tinyaug`, for clusters that get the source tree."""

from pipelines.cli import main

if __name__ == "__main__":
    main()
