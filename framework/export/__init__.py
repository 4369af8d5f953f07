"""Exports of a run for other tools: Perfetto, ShiViz, Jepsen's checkers, and whatever reads Parquet or CSV."""
