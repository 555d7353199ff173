"""How fast it is, beside other mail clients and beside what is possible: ``python -m benchmarks --help``."""
