"""The zoo: trainings with one fault put in on purpose, or none, and who names the fault."""
