"""For authors of plugins: runs as tests under pytest, scenario scripts with golden output, the conformance kit."""
