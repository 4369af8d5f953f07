"""What clients wait for on five continents' coasts, by where the leader stands."""
