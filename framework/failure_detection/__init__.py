"""What failure detectors share: the detector as a node that others mount, its client, and what must hold."""
