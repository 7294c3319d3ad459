"""Settings of the server's property tests."""

import hypothesis

# A shared machine may take any time for one example; how long it takes is no fact under test.
hypothesis.settings.register_profile("lens", deadline=None)
hypothesis.settings.load_profile("lens")
