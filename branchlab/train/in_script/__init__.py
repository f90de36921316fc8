"""A folder that scripts have first on their path: its ``sitecustomize`` hears what they log to the tools that they use."""
