"""Raw rows as Parquet, outside the store: where they go, under which names, and when."""
