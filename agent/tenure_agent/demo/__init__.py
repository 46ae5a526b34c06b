"""The main job on real flights: serve, drift, decide, retrain, be better."""
