"""``python -m reindex``, and what launchers start: ``accelerate launch -m reindex train``."""

from reindex.cli import main

if __name__ == "__main__":
    main()
