"""Which locks protect what they guard, and from which faults?"""
