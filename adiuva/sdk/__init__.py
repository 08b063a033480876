"""All that an agent or a plugin imports from Adiuva."""
