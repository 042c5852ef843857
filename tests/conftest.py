"""What holds for every test."""

from hypothesis import settings

# How long one example takes says more about the machine's other work than about the code; pytest-timeout bounds the
# whole test instead. A failing example prints what is needed to run it again.
settings.register_profile("cowork", deadline=None, print_blob=True)
settings.load_profile("cowork")
