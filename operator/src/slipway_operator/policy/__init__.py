"""What a ModelDeployment may ask for, so that it gives its author no more than the author has."""
