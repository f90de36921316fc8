"""The only room with torch: the task contract, the shared trainer, and the warm parent that runs start from."""
