"""The parts of one server process: model, stores, admission, lifecycle, health."""
