"""What cdc-sync costs and how fast it is, beside its rivals in the same run: ``python -m tests.benchmarks NAME``.

Nothing here asserts a time: machines differ, ratios to a rival on the same machine differ less.
"""
