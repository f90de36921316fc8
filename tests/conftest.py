"""What holds for every test: no clock decides, and examples are the same each time."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "branchlab", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("branchlab")
