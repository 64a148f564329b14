"""From programs to blocks on disk: devices, the engine, what is stored, shards, progress."""
