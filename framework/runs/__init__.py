"""One run, from a composed experiment to its folder: claim the folder, drive the engine, check, judge, write.

This package is independent of screens and command lines, which `framework.console` handles.
"""
