"""The parts of the table: one file each, with ``run(bench) -> Iterator[Row]``."""

PARTS = ("mime", "smtp", "trips", "imports", "cold", "gmail", "outbox")
