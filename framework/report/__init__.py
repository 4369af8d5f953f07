"""Reports: self-contained HTML pages of runs, of folders of runs, and of sweeps."""
