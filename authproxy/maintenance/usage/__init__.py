"""What uses the space of a storage: by repository and namespace, and by tag. Reads only."""
