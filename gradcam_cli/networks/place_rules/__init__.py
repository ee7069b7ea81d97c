"""The effect of each operation of a graph on the positions of its inputs."""
