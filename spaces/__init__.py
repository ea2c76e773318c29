"""What the configuration repository says: pure data and rules, without Git, database, process or clock."""
