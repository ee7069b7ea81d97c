"""What each operation of a graph does to the places of its inputs."""
