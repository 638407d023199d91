"""`python -m etl`: how a job starts it."""

from etl.cli import main

main()
