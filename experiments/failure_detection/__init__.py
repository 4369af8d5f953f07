"""How soon do failure detectors notice a crash, how often are they wrong, and what do they send?"""
