"""What failure detectors share: the detector as a node that others mount, its client, and the properties that must hold."""
