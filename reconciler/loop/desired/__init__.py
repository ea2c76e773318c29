"""From fetched repositories to the desired state in the store."""
