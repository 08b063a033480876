"""What tests of Adiuva, of agents and of plugins stand on."""
