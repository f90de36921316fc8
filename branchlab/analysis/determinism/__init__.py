"""What parts two trainings of one key, from what they noted: ``kernels`` that torch refuses, ``chance``, ``interruption``."""
