"""One run, from a composed experiment to its folder: claim the folder, drive the engine, check, judge, write.

Nothing here knows a screen or a command line; `framework.console` does.
"""
