"""The only place that knows both states and drivers: the store, the engine, the command line."""
