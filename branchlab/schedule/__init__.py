"""What is to be started, in which order, where: the plan as values, the pool that carries it out, the executors."""
