"""Configs: from `conf/`, the plugins' defaults and the command line to one validated experiment."""
