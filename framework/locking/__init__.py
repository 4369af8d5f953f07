"""What locks share: the operations that their clients perform, and the properties that must hold."""
