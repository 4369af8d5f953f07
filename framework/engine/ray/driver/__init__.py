"""The driver's side of a run: machines reserved, workers supervised, faults carried out."""
