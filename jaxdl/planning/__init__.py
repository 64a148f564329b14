"""From a sweep to programs: configs, how each axis enters, what a program costs and is known by."""
