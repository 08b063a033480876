"""Plans: what the agents would do about a message, as steps that a client carries out one by one."""
